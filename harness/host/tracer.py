# SPDX-License-Identifier: GPL-2.0-only
"""ptrace(2): a thread of a child process seized, interrupted, let go; this thread traced by one."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from harness.native import lib

_WALL = 0x40000000  # wait(2): threads too
_LOOK_S = 0.001
_ANY = -1  # PR_SET_PTRACER_ANY: the security module Yama lets no child trace its parent


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


@contextmanager
def traced() -> Iterator[None]:
    """A child traces the calling thread meanwhile, and hands its signals on.

    Raises `NoTracerError` where it may not, also where another process traces this one already.
    """
    reader, writer = os.pipe()
    child = -1
    try:
        lib.ke_be_traced_by(_ANY)
        child = int(lib.ke_child_tracer(threading.get_native_id(), writer))
        os.close(writer)
        writer = -1
        if child < 0:
            raise OSError(-child, f"fork: {os.strerror(-child)}")
        error = int.from_bytes(os.read(reader, 4), sys.byteorder, signed=True)
        if error:
            raise NoTracerError(f"ptrace: {os.strerror(-error)}")
        yield
    finally:
        lib.ke_be_traced_by(0)
        os.close(reader)
        if writer >= 0:
            os.close(writer)
        if child > 0:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
