# SPDX-License-Identifier: GPL-2.0-only
"""Inside an emulated host: one KVM after the other, each judged by a pytest that is warm already.

To boot, to start Python and to collect the suites takes an emulated host twenty seconds, and the
tests of a mutant take three. So this process does the former once. For each request it loads the
modules, and a fork of it runs the tests: what they leave in the process is gone with it.

Requests and answers are files of the folder that is the first argument, `request-N.json` and
`answer-N.json`, both written whole; the other arguments are pytest's for all suites. A request has
`modules`, a folder; `words` for pytest; `environment`; `output`, a file; `marker`, a line for
the kernel's log before the modules are loaded. With `stock`, the folder of the stock KVM's modules,
a C program is made of the first failure that stands in `results` (proving.py). An answer is an
:class:`LaneAnswer`. A file `stop-N` ends the tests of a request that take too long.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from harness import files
from lab.emulation import arch
from lab.mutation import proving


@dataclass(frozen=True)
class LaneAnswer:
    """What became of a request.

    `status` is pytest's; or in the words of `refused` the modules were not taken. `left` tells why
    KVM could not be removed again: then this kernel is used up.
    """

    status: int | None = None
    refused: str = ""
    left: str = "no answer"


LOADED = Path("/sys/module")
_LOOK_S = 0.05
_FAILED = 1  # pytest's exit code: some tests failed
_ENDED = frozenset("ZX")  # proc(5), /proc/pid/stat
_STATES = {"R": "it runs", "D": "it waits, not to be disturbed,", "S": "it sleeps"}
_CALLS = 4
#: What died a moment ago gives its files back a moment later.
_REMOVED_S = 5.0
#: A thread that SIGKILL did not end by then is in the kernel, and stays there.
_KILLED_S = 20.0


def request_file(number: int) -> str:
    """The name of the request of this number."""
    return f"request-{number}.json"


def answer_file(number: int) -> str:
    """The name of its answer."""
    return f"answer-{number}.json"


def stop_file(number: int) -> str:
    """The name of the file that ends the tests of the request of this number."""
    return f"stop-{number}"


def main(place: Path, words: Sequence[str]) -> NoReturn:
    """Answers until the machine is ended; `words` are pytest's for all suites."""
    remove()  # the kernel's own KVM
    warm_up(words)
    for number in itertools.count():
        file = place / request_file(number)
        while not file.exists():
            time.sleep(_LOOK_S)
        request = json.loads(file.read_text(encoding="utf-8"))
        answer = serve(request, place / stop_file(number))
        files.replace(place / answer_file(number), json.dumps(asdict(answer)))
    raise AssertionError


def serve(request: Mapping[str, Any], stop: Path) -> LaneAnswer:
    """The answer to a request, whose tests the file `stop` ends."""
    if marker := request.get("marker"):
        Path("/dev/kmsg").write_text(f"<4>{marker}\n", encoding="ascii")
    refused = load(Path(request["modules"]))
    if refused:
        return LaneAnswer(refused=refused, left=remove())
    child = os.fork()
    if child == 0:
        _test(request)
    status = ended(child, stop)
    if status is None:
        return LaneAnswer(left=told_of(child))
    if status == _FAILED and (stock := request.get("stock")):
        return LaneAnswer(status, left=_reproduced(Path(request["results"]), Path(stock), stop))
    return LaneAnswer(status, left=remove())


def _reproduced(folder: Path, stock: Path, stop: Path) -> str:
    """The failure as a C program, run on this KVM and then on the stock one; what was left."""
    if _apart(stop, proving.write, folder) or _apart(stop, proving.run, folder, "mutant"):
        return remove() or "the reproducer did not end"
    left = remove()
    if left:
        return left
    return load(stock) or _apart(stop, proving.run, folder, "stock") or remove()


def _apart(stop: Path, what: Callable[..., None], *arguments: object) -> str:
    """In a process of its own; what is left of it where it does not end."""
    child = os.fork()
    if child == 0:
        try:
            what(*arguments)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    return "" if ended(child, stop) is not None else told_of(child)


def ended(child: int, stop: Path) -> int | None:
    """The status of a process, killed when there is a file `stop`; None where that does not end it.

    Its threads may have ended but for one that never leaves the kernel.
    """
    until = math.inf
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if until == math.inf and stop.exists():
            os.kill(child, signal.SIGKILL)
            until = time.monotonic() + _KILLED_S
        time.sleep(_LOOK_S)
    return None


def told_of(process: int) -> str:
    """The threads of a process that SIGKILL did not end: their states, and where they stand."""
    told = []
    for thread in sorted(Path(f"/proc/{process}/task").glob("*")):
        state = _read(thread / "stat").rpartition(")")[2].strip()[:1]
        if state and state not in _ENDED:
            calls = re.findall(r"(\w+)\+0x", _read(thread / "stack"))[:_CALLS]
            told.append(f"{_STATES.get(state, state)} in {' < '.join(calls) or 'the kernel'}")
    return f"SIGKILL does not end a thread of the tests: {', '.join(told) or 'it is gone'}"


def _read(path: Path) -> str:
    """A file of proc; empty where it cannot be read, or is gone with its thread."""
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""


def load(folder: Path) -> str:
    """Loads the modules; what insmod said against it, or an empty text."""
    paths = [folder / f"{name}.ko" for name in arch.here().modules]
    return next(filter(None, (_said("insmod", path) for path in paths)), "")


def remove() -> str:
    """Removes KVM; what rmmod said against it for seconds, or an empty text."""
    loaded = [name.replace("-", "_") for name in reversed(arch.here().modules)]
    until = time.monotonic() + _REMOVED_S
    while True:
        present = [name for name in loaded if (LOADED / name / "initstate").exists()]
        said = _said("rmmod", *present) if present else ""
        if not said or time.monotonic() > until:
            return said
        time.sleep(_LOOK_S)


def warm_up(words: Sequence[str]) -> None:
    """Lets pytest import itself and collect the suites, in this process and without a word."""
    import pytest

    kept = os.dup(1)
    with Path(os.devnull).open("wb") as silent:
        os.dup2(silent.fileno(), 1)
        pytest.main([*words, "--collect-only", "-qq"])
        sys.stdout.flush()
    os.dup2(kept, 1)
    os.close(kept)
    gc.freeze()  # a fork neither walks what is warm, nor copies its pages for that


def _test(request: Mapping[str, Any]) -> NoReturn:
    """The fork: pytest with a terminal of its own."""
    status = 70
    try:
        import pytest

        from harness.host import description, pace

        output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.environ.update(request["environment"])
        description.describe.cache_clear()  # it says which module is loaded
        pace.here.cache_clear()  # it goes by the environment
        status = int(pytest.main(list(request["words"])))
        sys.stdout.flush()
    except BaseException:
        status = 70
        traceback.print_exc()
    finally:
        os._exit(status)


def _said(*words: object) -> str:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False
    )
    return (done.stderr.strip() or f"{words[0]} ended with {done.returncode}") * bool(
        done.returncode
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
