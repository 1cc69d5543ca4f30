# SPDX-License-Identifier: GPL-2.0-only
"""A child in a session of its own, ended as a whole.

On a signal the child gets the chance to end in order (SIGINT, as Ctrl-C gives pytest), then
SIGTERM and SIGKILL to the whole group. Signals that come while this goes on change nothing, but
a second SIGINT: it moves on to the next step at once. kernel CI sends SIGTERM twice.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

#: Seconds that a child has to end in order, and that its group has after SIGTERM and SIGKILL.
ORDERLY_S = 12.0
TERMINATE_S = 2.0
KILL_S = 2.0
_TICK_S = 0.05


@dataclass(frozen=True)
class Ended:
    """How the child ended: its status as subprocess gives it, and the signal that stopped us."""

    status: int
    stopped_by: signal.Signals | None


def members(group: int) -> list[int]:
    """Processes of a group that still run; zombies do not."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                # "pid (name with any character) state parent group ..."
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if int(fields[2]) == group and fields[0] not in "ZX":
                    found.append(int(entry.name))
    return found


class Watch:
    """Remembers the signals that came."""

    def __init__(self) -> None:
        self.first: signal.Signals | None = None
        self.interrupts = 0

    def take(self, number: int, _frame: FrameType | None) -> None:
        """The handler."""
        self.first = self.first or signal.Signals(number)
        self.interrupts += number == signal.SIGINT

    @contextlib.contextmanager
    def installed(self) -> Iterator[Watch]:
        """Takes SIGINT, SIGTERM and SIGHUP for the body."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, self.take) for number in numbers}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    tick: Callable[[], None],
    afterwards: Callable[[Ended], int],
) -> int:
    """Run a command to its end; nothing of its group is left when ``afterwards`` is called.

    ``tick`` is called now and then. ``afterwards`` runs while signals are still held off, so
    that a second one does not break the clean-up, and gives the exit code.
    """
    watch = Watch()
    with watch.installed():
        child = subprocess.Popen(command, cwd=cwd, env=env, start_new_session=True)
        try:
            while child.poll() is None and watch.first is None:
                tick()
                _pause(child)
            if watch.first is not None and child.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGINT)
                _until(ORDERLY_S, lambda: child.poll() is not None or watch.interrupts > 1)
        finally:
            _clear(child)
        tick()
        return afterwards(Ended(child.returncode, watch.first))


def _pause(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_TICK_S)


def _clear(child: subprocess.Popen[bytes]) -> None:
    """End whatever is left of the group."""
    if child.poll() is not None:
        # Workers of a controller that is gone end by themselves, at once when they are idle.
        _until(0.5, lambda: not members(child.pid))
    for number, seconds in ((signal.SIGTERM, TERMINATE_S), (signal.SIGKILL, KILL_S)):
        if child.poll() is not None and not members(child.pid):
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, number)
        _until(seconds, lambda: child.poll() is not None and not members(child.pid))


def _until(seconds: float, done: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(_TICK_S)
