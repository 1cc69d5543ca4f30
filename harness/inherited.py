# SPDX-License-Identifier: GPL-2.0-only
"""What a process inherits of its parent's ways that would bend a run, undone.

All that is started from here on inherits what stands then.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal

_SCHED_DEADLINE = 6  # linux/sched.h
_REALTIME = (os.SCHED_FIFO, os.SCHED_RR, _SCHED_DEADLINE)
_ON_FORK = os.SCHED_RESET_ON_FORK
_PR_SET_TIMERSLACK, _PR_GET_TIMERSLACK = 29, 30  # linux/prctl.h
_TIMER_SLACK = 50_000  # nanoseconds: that of Linux's first process
_WIDEST = 400  # columns


def undo() -> None:
    """For the calling thread, and for the process's environment."""
    _signals()
    _realtime()
    _timer_slack()
    _width()


def _signals() -> None:
    """None is blocked, and the end of children can be waited for.

    A kick that is blocked would never come.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _realtime() -> None:
    """No real-time policy: a guest that spins would keep who ends it from the processor, for ever.

    Races that need one set it themselves (harness/kick/realtime.py).
    """
    try:
        policy = os.sched_getscheduler(0)
    except OSError:  # musl has none
        return
    if policy & ~_ON_FORK in _REALTIME:
        # Only a privileged process may take the flag back.
        os.sched_setscheduler(0, os.SCHED_OTHER | (policy & _ON_FORK), os.sched_param(0))
        _say("Not kept: the real-time scheduling policy that this process was started with.")


def _timer_slack() -> None:
    """No more than usual: by it timers come late. (0 would mean what was inherited.)"""
    with contextlib.suppress(AttributeError, OSError):
        prctl = ctypes.CDLL(None).prctl
        if prctl(_PR_GET_TIMERSLACK, 0, 0, 0, 0) > _TIMER_SLACK:
            prctl(_PR_SET_TIMERSLACK, _TIMER_SLACK, 0, 0, 0)


def _width() -> None:
    """No terminal is that wide, and each line would fill it."""
    with contextlib.suppress(ValueError):
        if int(os.environ.get("COLUMNS", "")) > _WIDEST:
            os.environ["COLUMNS"] = str(_WIDEST)


def _say(text: str) -> None:
    """By the descriptor: this is also called where Python has no stream."""
    with contextlib.suppress(OSError):
        os.write(2, f"{text}\n".encode())
