# SPDX-License-Identifier: GPL-2.0-only
"""A process of a campaign: it ends when its parent is gone.

It leads a session of its own: what crashes there spoils no other, and Ctrl-C reaches it through its
parent only, which ends all in order.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Sequence

from lab.launch import process_group
from lab.launch.request import ROOT

_PARENT = "KVM_CONFORMANCE_PARENT"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Process:
    """One that was started, an `Attempt`; its program calls `end_with_the_parent`."""

    def __init__(self, command: Sequence[str], output: int, errors: int) -> None:
        """Starts it. Raises OSError."""
        self._child = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
            env={**os.environ, "COLUMNS": "100", _PARENT: str(os.getpid())},
        )

    def look(self) -> int | None:
        """As subprocess gives it: negative where a signal ended it."""
        return self._child.poll()

    def wait(self, seconds: float) -> None:
        """For its end, so long at most."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(seconds)

    def interrupt(self) -> None:
        """SIGINT, to itself alone: it ends what it has started."""
        self._child.send_signal(signal.SIGINT)

    def kill(self, number: signal.Signals) -> None:
        """Sends this signal to its whole session, also when itself has ended."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)

    def is_gone(self) -> bool:
        """Whether it has ended, and no process of its session is left."""
        return self.look() is not None and not process_group.members(self._child.pid)


def end_with_the_parent() -> None:
    """SIGTERM when the parent dies, also by SIGKILL; at once where it is dead already."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if str(os.getppid()) != os.environ.get(_PARENT, str(os.getppid())):
        os.kill(os.getpid(), signal.SIGTERM)
