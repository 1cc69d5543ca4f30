# SPDX-License-Identifier: GPL-2.0-only
"""Which functions of KVM's modules were entered, by the kernel's function tracer.

Each is traced until it was seen once: from then on it costs nothing. For a machine of one's own:
the tracer is the whole kernel's. Around another program:
``python -m lab.exploration.entered FILE PROGRAM...`` writes them to a file, a line each, the
others behind a minus.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

from lab.emulation import arch

_FOLDER = Path("/sys/kernel/tracing")
_SEEN = re.compile(rb": ([\w.]+)(?: \[\w+\])? <-")
_LOOK_S = 0.2


class NotTracedError(Exception):
    """This kernel does not say which of its functions are entered; the text says why."""


class Entered:
    """A context manager: `every` function of the modules that can be traced, and those `seen`."""

    def __init__(self) -> None:
        self.every: frozenset[str] = frozenset()
        self.seen: set[str] = set()
        self._over = threading.Event()
        self._pipe = -1
        self._reader = threading.Thread(target=self._read, name="entered", daemon=True)

    def __enter__(self) -> Entered:
        """Raises `NotTracedError`."""
        if not (_FOLDER / "current_tracer").exists():
            subprocess.run(["mount", "-t", "tracefs", "tracefs", _FOLDER], check=False)
        names = [each.replace("-", "_") for each in arch.here().modules]
        try:
            listed = (_FOLDER / "available_filter_functions").read_text()
            ends = tuple(f" [{name}]" for name in names)
            self.every = frozenset(
                each.split()[0] for each in listed.splitlines() if each.endswith(ends)
            )
            if not self.every:
                raise NotTracedError(f"the kernel has no modules {' and '.join(names)} to trace")
            _write("set_ftrace_notrace", "")
            _write("set_ftrace_filter", "\n".join(f":mod:{name}" for name in names))
            _write("current_tracer", "function")
            _write("tracing_on", "1")
            self._pipe = os.open(_FOLDER / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise NotTracedError(f"{error.filename}: {error.strerror}") from error
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._reader.join()
        self._take()
        os.close(self._pipe)
        with contextlib.suppress(OSError):
            _write("current_tracer", "nop")
            _write("set_ftrace_filter", "")
            _write("set_ftrace_notrace", "")

    def _read(self) -> None:
        while not self._over.wait(_LOOK_S):
            self._take()

    def _take(self) -> None:
        """Those that were entered since, and from now on they are traced no more."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._pipe, 1 << 20):
                new = {each.decode() for each in _SEEN.findall(data)} & self.every - self.seen
                self._trace_no_more(new)
                self.seen |= new  # last: who sees a name finds it traced no more

    def _trace_no_more(self, names: set[str]) -> None:
        if names:
            with contextlib.suppress(OSError), (_FOLDER / "set_ftrace_notrace").open("a") as file:
                file.write("\n".join(sorted(names)) + "\n")

    def counts(self) -> dict[str, int]:
        """1 for each that was entered, 0 for the others."""
        return {name: int(name in self.seen) for name in sorted(self.every)}


def _write(name: str, text: str) -> None:
    (_FOLDER / name).write_text(text)


def main(file: Path, words: list[str]) -> int:
    """Runs the program; its exit code."""
    with Entered() as entered:
        code = subprocess.run(words, check=False).returncode
    lines = [name if seen else f"-{name}" for name, seen in entered.counts().items()]
    file.write_text("\n".join(lines) + "\n", encoding="ascii")
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
