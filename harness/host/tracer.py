# SPDX-License-Identifier: GPL-2.0-only
"""ptrace(2) of a thread of a child process: seized, interrupted, let go."""

from __future__ import annotations

import errno
import os
import time

from harness.native import lib

_WALL = 0x40000000  # wait(2): threads too
_LOOK_S = 0.001


class NoTracerError(Exception):
    """This process may trace none (a seccomp filter, a security module)."""


def _ptrace(request: int, tid: int) -> None:
    error = int(lib.ke_ptrace(request, tid))
    if -error in (errno.EPERM, errno.EACCES, errno.ENOSYS):
        raise NoTracerError(f"ptrace: {os.strerror(-error)}")
    if error:
        raise OSError(-error, f"ptrace: {os.strerror(-error)}")


def interrupt(tid: int, patience_s: float) -> bool:
    """Stops a thread as a debugger does, and lets it go; whether it stopped within the patience.

    Raises `NoTracerError`, and OSError.
    """
    _ptrace(lib.PTRACE_SEIZE, tid)
    _ptrace(lib.PTRACE_INTERRUPT, tid)
    for _ in range(int(patience_s / _LOOK_S)):
        if os.waitpid(tid, os.WNOHANG | _WALL)[0] == tid:
            _ptrace(lib.PTRACE_DETACH, tid)
            return True
        time.sleep(_LOOK_S)
    return False
