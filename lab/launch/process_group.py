# SPDX-License-Identifier: GPL-2.0-only
"""A child in a session of its own, ended as a whole.

A keeper stands between (lab/launch/keeper.py): it ends the child and all that it started
when this process is gone, by whatever way.

On a signal the child gets the chance to end in order (SIGINT, as Ctrl-C gives pytest), then
SIGTERM and SIGKILL to the whole group. Signals that come while this goes on change nothing, but
a second SIGINT: it moves on to the next step at once. kernel CI sends SIGTERM twice.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from lab.launch import keeper
from lab.launch.stopping import Stop

#: Seconds that a child has to end in order, and that its group has after SIGTERM and SIGKILL.
ORDERLY_S = 12.0
TERMINATE_S = 2.0
KILL_S = 2.0
_TICK_S = 0.05


class NotStartedError(Exception):
    """The child cannot be started; the text says why."""


@dataclass(frozen=True)
class Ended:
    """How the child ended: its status as subprocess gives it, and the signal that stopped us."""

    status: int
    stopped_by: signal.Signals | None


def members(group: int) -> list[int]:
    """Processes of a group that still run; zombies do not."""
    found = []
    for process in psutil.pids():
        with contextlib.suppress(ProcessLookupError, psutil.Error):
            if (
                os.getpgid(process) == group
                and psutil.Process(process).status() not in keeper.ENDED
            ):
                found.append(process)
    return found


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
    that a second one does not break the clean-up, and gives the exit code; a first one that comes
    as late as that decides it.

    :raises NotStartedError: the command cannot be started.
    """
    with Stop().taken() as stop:
        try:
            child = subprocess.Popen(
                [sys.executable, keeper.__file__, "", *command],
                cwd=cwd,
                env=env,
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise NotStartedError(error.strerror) from error
        try:
            while child.poll() is None and stop.first is None:
                tick()
                _pause(child)
            if stop.first is not None and child.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGINT)
                _until(ORDERLY_S, lambda: child.poll() is not None or stop.interrupts > 1)
        finally:
            _clear(child)
        tick()
        ended = Ended(child.returncode, stop.first)
        code = afterwards(ended)
        if ended.stopped_by is None and stop.code is not None:
            return stop.code
        return code


def _pause(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(_TICK_S)


def _clear(child: subprocess.Popen[bytes]) -> None:
    """End whatever is left of the group: by SIGTERM, by the keeper, by SIGKILL."""
    assert child.stdin

    def gone() -> bool:
        return child.poll() is not None and not members(child.pid)

    with contextlib.suppress(ProcessLookupError, PermissionError):
        if not gone():
            os.killpg(child.pid, signal.SIGTERM)
            _until(TERMINATE_S, gone)
        child.stdin.close()
        if not gone():
            _until(KILL_S, gone)
        if not gone():
            os.killpg(child.pid, signal.SIGKILL)
            _until(KILL_S, gone)


def _until(seconds: float, done: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(_TICK_S)
