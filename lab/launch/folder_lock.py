# SPDX-License-Identifier: GPL-2.0-only
"""A folder of results belongs to one command at a time: two in one would spoil each other's."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

NAME = ".lock"


class HeldError(Exception):
    """Another command has the folder; the text is who, for people."""


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Holds the folder, which is there, for the block. The kernel lets go when the process ends.

    :raises HeldError: another process holds it.
    :raises OSError: the folder cannot be written.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW  # it may be another user's folder
    descriptor = os.open(folder / NAME, flags, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            process = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            raise HeldError(f"process {process}" if process.isdigit() else "a process") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
        yield
    finally:
        os.close(descriptor)
