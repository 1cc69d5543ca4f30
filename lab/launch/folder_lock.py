# SPDX-License-Identifier: GPL-2.0-only
"""A folder of results belongs to one command at a time: two in one would spoil each other's."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from harness import file_lock

NAME = ".lock"


class HeldError(Exception):
    """Another command has the folder; the text is who, for people."""


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Holds the folder, which is there, for the block.

    :raises HeldError: another process holds it.
    :raises OSError: the folder cannot be written.
    """
    descriptor = file_lock.opened(folder / NAME, 0o644)
    try:
        if not file_lock.signed(descriptor):
            process = file_lock.process_of(file_lock.signature(descriptor))
            raise HeldError(f"process {process}" if process else "a process")
        yield
    finally:
        os.close(descriptor)
