# SPDX-License-Identifier: GPL-2.0-only
"""Guest memory: shared, mapped into this process."""

from __future__ import annotations

import mmap
from typing import Any

from harness.kvm import call_log
from harness.native import ffi

#: Bytes of a page of the host, which a slot's size is a multiple of.
PAGE_BYTES = mmap.PAGESIZE
# Where a word of 64 bits has its low half: 0 or 4.
_LOW_HALF = bytes(ffi.buffer(ffi.new("uint64_t *", 1))).index(1) & 4


class Memory:
    """A piece of memory of `size` bytes, a multiple of the page size.

    Words have the host's byte order, as every guest of this project does. They have 64 bits, of
    which the low half counts: it is read and written by one access, so a guest may write it
    meanwhile. `mapping` is memory of another kind than anonymous and shared.
    """

    def __init__(self, size: int, mapping: mmap.mmap | None = None) -> None:
        self.size = size
        self._map = mapping or mmap.mmap(-1, size, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        self._view: Any = ffi.from_buffer("uint8_t[]", self._map, require_writable=True)

    def address(self, offset: int = 0) -> Any:
        """A C pointer (`uint8_t *`) to a byte; valid until `close()`."""
        if not 0 <= offset < self.size:
            raise ValueError(f"offset {offset:#x} is outside of {self.size:#x} bytes of memory")
        return self._view + offset

    def low_half(self, offset: int) -> Any:
        """A C pointer (`uint32_t *`) to the low half of the word at `offset`."""
        return ffi.cast("uint32_t *", self._word(offset)) + _LOW_HALF // 4

    def read32(self, offset: int) -> int:
        """The low half of the word at `offset`."""
        return int(self.low_half(offset)[0])

    def write32(self, offset: int, value: int) -> None:
        """Stores the low half of a word."""
        self.low_half(offset)[0] = value
        self._tell(offset + _LOW_HALF, 4)

    def write64(self, offset: int, value: int) -> None:
        """Stores a whole word."""
        self._word(offset)[0] = value
        self._tell(offset, 8)

    def _tell(self, offset: int, length: int) -> None:
        if call_log.current:
            begin = int(ffi.cast("uintptr_t", self._view))
            call_log.current.stored(begin, offset, self.read(offset, length))

    def _word(self, offset: int) -> Any:
        if offset % 8:
            raise ValueError(f"offset {offset:#x} is not a multiple of 8")
        return ffi.cast("uint64_t *", self.address(offset))

    def read(self, offset: int, length: int) -> bytes:
        """A copy of `length` bytes."""
        return bytes(self._map[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        """Copies `data` into the memory."""
        self._map[offset : offset + len(data)] = data
        self._tell(offset, len(data))

    def close(self) -> None:
        """Unmaps; a second call does nothing."""
        if self._view is not None:
            if call_log.current:
                call_log.current.forget(int(ffi.cast("uintptr_t", self._view)))
            ffi.release(self._view)
            self._view = None
            self._map.close()
