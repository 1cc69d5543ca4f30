# SPDX-License-Identifier: GPL-2.0-only
"""System calls that use much of the calling thread's kernel stack.

What a system call left there is dead once it has returned. A kernel that goes on to read it, in the
next call, then reads something else.
"""

from __future__ import annotations

import os
import select
import socket
from pathlib import Path

_DATA = b"x" * 64
_FILES = (Path("/proc/self/stat"), Path("/proc/self/limits"))


def deep_calls() -> None:
    """Path walks, files of proc(5), a poll, a message with a descriptor in it."""
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        poll = select.poll()
        poll.register(one, select.POLLOUT)
        poll.poll(0)
        os.access("/proc/self/../self/cwd/" + "./" * 64, os.R_OK)
        for path in _FILES:
            _read(path)
        socket.send_fds(one, [_DATA], [one.fileno()])
        _, descriptors, _, _ = socket.recv_fds(other, len(_DATA), 1)
        for descriptor in descriptors:
            os.close(descriptor)


def _read(path: Path) -> None:
    """Where proc(5) is hidden or has no such file, the other calls are deep enough."""
    try:
        path.read_bytes()
    except OSError:
        return
