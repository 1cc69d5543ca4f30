# SPDX-License-Identifier: GPL-2.0-only
"""The runs of a matrix: kernels are found one after the other, and tested side by side.

Each in a process of its own, below its own session: what crashes there spoils no other, and Ctrl-C
reaches them through the matrix only, which ends them in order.
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.reporting import journal as journals
from tools import finish, matrix_state, process_group
from tools.exit_codes import Exit
from tools.matrix_child import PARENT
from tools.matrix_list import Entry
from tools.run import ROOT

TICK_S = 0.2
MACHINE_SPARE_MB = 512  # QEMU's own, beside the memory of its machine
PROGRAM = (sys.executable, "-m", "tools.matrix_child")
_FOUND = "found.json"
_FETCH = "fetch.txt"


class Stage(enum.Enum):
    """How far a kernel's run is. ABSENT: it cannot be had. KEPT: an earlier result stands."""

    WAITING = "waiting"
    FETCHING = "fetching"
    READY = "waiting for its turn"
    RUNNING = "running"
    ENDED = "ended"
    KEPT = "kept"
    ABSENT = "not available"
    STOPPED = "interrupted"


#: Stages after which nothing more comes.
OVER = (Stage.ENDED, Stage.KEPT, Stage.ABSENT, Stage.STOPPED)


@dataclass
class Run:
    """A kernel's run. `code`, `why` and `seconds` are set when it is over."""

    entry: Entry
    folder: Path
    asked: Mapping[str, Any]
    stage: Stage = Stage.WAITING
    release: str = ""
    title: str = ""
    digest: str = ""
    code: int | None = None
    why: str = ""
    seconds: float = 0.0
    started: str = ""
    child: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    since: float = 0.0

    @property
    def age_s(self) -> float:
        """Seconds since its present process began, or that it took."""
        return time.monotonic() - self.since if self.child else self.seconds


def most_at_once(megabytes: int) -> int:
    """How many machines of this size the host carries. Each runs on one processor."""
    fitting = available_megabytes() // (megabytes + MACHINE_SPARE_MB)
    return max(1, min(len(os.sched_getaffinity(0)), fitting))


def available_megabytes() -> int:
    """Memory that can be had without swapping, as the kernel estimates it (proc_meminfo(5))."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) // 1024
    return 0


def run_all(
    runs: Sequence[Run],
    *,
    parallel: int,
    options: Sequence[str],
    fresh: bool,
    stop: process_group.Watch,
    show: Callable[[], None],
) -> None:
    """Runs what is to be run, until all are over or a signal came.

    `options` go to `emulate`, `fresh` repeats what would stand, `show` is called now and then.
    Nothing that was started is left, whatever is raised: OSError where a folder cannot be written.
    """
    try:
        while stop.first is None and any(run.stage not in OVER for run in runs):
            _look(runs, fresh)
            busy = sum(run.stage is Stage.RUNNING for run in runs)
            for run in [run for run in runs if run.stage is Stage.READY][: parallel - busy]:
                _test(run, options)
            if not any(run.stage is Stage.FETCHING for run in runs):
                waiting = next((run for run in runs if run.stage is Stage.WAITING), None)
                if waiting:
                    _fetch(waiting)
            show()
            time.sleep(TICK_S)
    finally:
        _end([run for run in runs if run.child], stop)
        for run in runs:
            if run.stage not in OVER:
                _take_back(run)
        show()


def _fetch(run: Run) -> None:
    run.folder.mkdir(parents=True, exist_ok=True)
    with (run.folder / _FOUND).open("wb") as found, (run.folder / _FETCH).open("wb") as told:
        _start(run, ["find", _spec(run.entry)], found.fileno(), told.fileno())
    run.stage = Stage.FETCHING


def _test(run: Run, options: Sequence[str]) -> None:
    matrix_state.forget(run.folder)
    for name in finish.FILES:  # what is shown meanwhile is not the last run's
        (run.folder / name).unlink(missing_ok=True)
    entry = run.entry
    words = [
        *("emulate", f"--kernel={_spec(entry)}", f"--output={run.folder}"),
        *(f"--cpus={entry.cpus}", f"--memory={entry.memory}"),
        *([f"--kernel-parameters={entry.kernel_parameters}"] if entry.kernel_parameters else []),
        *([f"--qemu-options={entry.qemu_options}"] if entry.qemu_options else []),
        *options,
    ]
    with (run.folder / matrix_state.OUTPUT).open("wb") as output:
        _start(run, words, output.fileno(), output.fileno())
    run.started = journals.now()
    run.stage = Stage.RUNNING


def _spec(entry: Entry) -> str:
    """The kernel as a process in another folder is told it."""
    path = Path(entry.kernel).expanduser()
    return str(path.absolute()) if "/" in entry.kernel and path.exists() else entry.kernel


def _start(run: Run, words: Sequence[str], output: int, errors: int) -> None:
    run.child = subprocess.Popen(
        [*PROGRAM, *words],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        start_new_session=True,
        env={**os.environ, "COLUMNS": "100", PARENT: str(os.getpid())},
    )
    run.since = time.monotonic()


def _look(runs: Sequence[Run], fresh: bool) -> None:
    """Takes what has ended."""
    for run in runs:
        if run.child is None or run.child.poll() is None:
            continue
        code, run.seconds, run.child = run.child.returncode, run.age_s, None
        if run.stage is Stage.FETCHING:
            _found(run, code, fresh)
        else:
            _ended(run, code)


def _found(run: Run, code: int, fresh: bool) -> None:
    told: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError):
        told = json.loads((run.folder / _FOUND).read_text(encoding="utf-8"))
    (run.folder / _FOUND).unlink(missing_ok=True)
    if code != Exit.HELD or not {"release", "name", "digest"} <= set(told):
        run.stage, run.code = Stage.ABSENT, Exit.SUITE_ERROR
        why = told.get("error") or f"it could not be looked for, see {run.folder / _FETCH}"
        run.why = why.removeprefix(f"{run.entry.kernel}: ")
        matrix_state.forget(run.folder)
        return
    run.release, run.title, run.digest = told["release"], told["name"], told["digest"]
    known = None if fresh else matrix_state.read(run.folder)
    if known and known.stands(run.asked, run.digest):
        run.stage, run.code, run.why = Stage.KEPT, known.code, known.why
        run.seconds, run.started = known.seconds, known.started
    else:
        run.stage = Stage.READY


def _ended(run: Run, code: int) -> None:
    run.stage, run.code, run.why = Stage.ENDED, code, matrix_state.why(run.folder, code)
    try:
        ended = journals.read(run.folder / finish.JOURNAL).exit_status is not None
    except (OSError, journals.JournalError):
        ended = False
    matrix_state.write(
        run.folder,
        matrix_state.Record(
            asked=run.asked,
            suites=matrix_state.suites_version(),
            release=run.release,
            title=run.title,
            digest=run.digest,
            code=code,
            why=run.why,
            ended=ended,
            seconds=round(run.seconds, 1),
            started=run.started,
        ),
    )


def _take_back(run: Run) -> None:
    """What the matrix did not bring to its end. Its results, as far as they go, are kept."""
    run.seconds = run.age_s if run.stage is Stage.RUNNING else 0.0
    run.stage, run.child = Stage.STOPPED, None
    run.why = "the matrix was interrupted before this kernel's run had ended"


def _end(runs: Sequence[Run], stop: process_group.Watch) -> None:
    """Ends processes: in order by SIGINT, then their groups by SIGTERM and SIGKILL."""
    children = [run.child for run in runs if run.child]
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid, signal.SIGINT)

    def gone(child: subprocess.Popen[bytes]) -> bool:
        return child.poll() is not None and not process_group.members(child.pid)

    def wait(seconds: float, until: Callable[[], bool]) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not all(map(gone, children)) and not until():
            time.sleep(0.05)

    interrupts = stop.interrupts
    wait(process_group.ORDERLY_S, lambda: stop.interrupts > interrupts)
    for number, seconds in (
        (signal.SIGTERM, process_group.TERMINATE_S),
        (signal.SIGKILL, process_group.KILL_S),
    ):
        for child in (child for child in children if not gone(child)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, number)
        wait(seconds, lambda: False)
