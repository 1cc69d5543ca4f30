# SPDX-License-Identifier: GPL-2.0-only
"""Work that the kernel gives to a thread, and interrupts it for: io_uring (Linux 5.1)."""

from __future__ import annotations

import errno
import os

from harness.closing import Closing
from harness.native import ffi, lib

#: A kernel without it, and whatever forbids it: kernel.io_uring_disabled, a seccomp filter.
_UNAVAILABLE = frozenset({errno.ENOSYS, errno.EPERM, errno.EACCES})


class NoTaskWorkError(Exception):
    """io_uring is not there, or not for this user."""


class TaskWork(Closing):
    """A context manager: the calling thread polls a pipe in the background.

    Once `give()` was called the thread has work to do in the kernel, wherever it is; then `done()`.
    Raises `NoTaskWorkError`, and OSError.
    """

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()
        error = ffi.new("int *")
        self._work = lib.ke_task_work_begin(self._reader, error)
        if not self._work:
            self.close()
            text = f"io_uring: {os.strerror(-error[0])}"
            raise NoTaskWorkError(text) if -error[0] in _UNAVAILABLE else OSError(-error[0], text)

    def give(self) -> None:
        """The pipe becomes readable. On any thread."""
        os.write(self._writer, b"x")

    def done(self) -> bool:
        """Whether the thread has done it."""
        return bool(lib.ke_task_work_done(self._work))

    def close(self) -> None:
        """Takes all away; a second call does nothing."""
        if self._work:
            lib.ke_task_work_end(self._work)
            self._work = None
        if self._reader >= 0:
            os.close(self._reader)
            os.close(self._writer)
            self._reader = -1
