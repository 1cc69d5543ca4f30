# SPDX-License-Identifier: GPL-2.0-only
"""How far a run of the suites is: what is through, and what runs since when."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from harness import files, plain_text
from harness.json_lines import decoded
from harness.reporting.results import TestOutcome

#: As many running tests are named.
_NAMED = 4
_LONGEST_NAME = 200  # characters
_AT_ONCE = 4 * files.MEGABYTE  # bytes of a journal; no line is as long


class Standing:
    """Counts tests. Times are the clock's here: an emulated host has one of its own."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.planned = 0
        self.through: set[str] = set()
        self.failed = 0
        self.ended = False
        self._running: dict[str, float] = {}

    def start(self, name: str) -> None:
        """A test begins."""
        self._running[name] = self._clock()

    def finish(self, name: str, *, failed: bool = False) -> None:
        """A test is through."""
        self._running.pop(name, None)
        self.through.add(name)
        self.failed += failed

    @property
    def reported(self) -> tuple[int, int]:
        """What changes when pytest prints something."""
        return self.planned, len(self.through)

    def describe(self) -> str:
        """In a line, the oldest of the running tests first."""
        if not self.planned:
            return "pytest starts and collects the tests"
        text = f"{len(self.through)} of {self.planned} tests through"
        if not self._running:
            return text
        now = self._clock()
        oldest = sorted(self._running.items(), key=lambda pair: pair[1])
        named = [f"{name} ({now - since:.0f} s)" for name, since in oldest[:_NAMED]]
        more = [f"{len(oldest) - _NAMED} more"] if len(oldest) > _NAMED else []
        return f"{text}, {len(oldest)} running: {', '.join(named + more)}"


class Follower:
    """The standing that a journal tells while it grows; each line of it is read once."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.standing = Standing(self._clock)
        self._file = 0
        self._offset = 0

    def look(self) -> bool:
        """Reads what is new; whether there was anything."""
        try:
            with os.fdopen(files.open_regular(self._path), "rb") as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._file or status.st_size < self._offset:
                    self._begin_anew()  # the journal of another run
                    self._file = status.st_ino
                file.seek(self._offset)
                # The last line may be there in part.
                whole = file.read(_AT_ONCE).rpartition(b"\n")[0]
        except OSError:
            return False
        for line in whole.splitlines():
            self._take(line)
        self._offset += len(whole) + bool(whole)
        return bool(whole)

    def _take(self, line: bytes) -> None:
        """Whoever judges the run reads the journal again, and strictly: here a bad line is none."""
        try:
            entry = decoded(line)
            event = entry["event"]
            if event == "planned":
                self.standing.planned = len(entry["ids"])
            elif event == "start":
                self.standing.start(plain_text.line(entry["id"])[:_LONGEST_NAME])
            elif event == "result":
                failed = TestOutcome(entry["outcome"]).against_kernel
                self.standing.finish(plain_text.line(entry["id"])[:_LONGEST_NAME], failed=failed)
            elif event == "end":
                self.standing.ended = True
        except (ValueError, KeyError, TypeError):
            pass
