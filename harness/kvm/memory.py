# SPDX-License-Identifier: GPL-2.0-only
"""Guest memory: anonymous, shared, mapped into this process."""

from __future__ import annotations

import mmap
from typing import Any

from harness.native import ffi


class Memory:
    """A piece of memory of `size` bytes, a multiple of the page size.

    Words are little-endian, as every guest of this project is; a 32-bit word is one access, so a
    guest may write it meanwhile.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._map = mmap.mmap(-1, size, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        self._view: Any = ffi.from_buffer("uint8_t[]", self._map, require_writable=True)

    def address(self, offset: int = 0) -> Any:
        """A C pointer (`uint8_t *`) to a byte; valid until `close()`."""
        if not 0 <= offset < self.size:
            raise ValueError(f"offset {offset:#x} is outside of {self.size:#x} bytes of memory")
        return self._view + offset

    def pointer32(self, offset: int) -> Any:
        """A C pointer (`uint32_t *`) to an aligned word."""
        if offset % 4:
            raise ValueError(f"offset {offset:#x} is not a multiple of 4")
        return ffi.cast("uint32_t *", self.address(offset))

    def read32(self, offset: int) -> int:
        """The 32-bit word at `offset`."""
        return int(self.pointer32(offset)[0])

    def write32(self, offset: int, value: int) -> None:
        """Stores a 32-bit word."""
        self.pointer32(offset)[0] = value

    def write64(self, offset: int, value: int) -> None:
        """Stores a 64-bit word, low half first."""
        self.write32(offset, value & 0xFFFFFFFF)
        self.write32(offset + 4, value >> 32)

    def read(self, offset: int, length: int) -> bytes:
        """A copy of `length` bytes."""
        return bytes(self._map[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        """Copies `data` into the memory."""
        self._map[offset : offset + len(data)] = data

    def close(self) -> None:
        """Unmaps; a second call does nothing."""
        if self._view is not None:
            ffi.release(self._view)
            self._view = None
            self._map.close()
