# SPDX-License-Identifier: GPL-2.0-only
"""Bytes in memory of which the last ones cannot be read: for an ioctl that must give EFAULT."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness.native import ffi

_PAGE = mmap.PAGESIZE


@contextmanager
def half_mapped(readable: bytes) -> Iterator[Any]:
    """A C pointer (`void *`) to these bytes, behind which nothing can be read.

    The page behind them is mapped, and of a file that has ended before it: the kernel's
    copy_from_user() gives EFAULT there. No bytes: then the pointer is to that page.
    """
    fd = os.memfd_create("half")
    try:
        os.truncate(fd, 2 * _PAGE)
        with mmap.mmap(fd, 2 * _PAGE) as mapping:
            mapping[_PAGE - len(readable) : _PAGE] = readable
            os.truncate(fd, _PAGE)
            view = ffi.from_buffer("uint8_t[]", mapping)
            try:
                yield ffi.cast("void *", view + _PAGE - len(readable))
            finally:
                ffi.release(view)
    finally:
        os.close(fd)
