# SPDX-License-Identifier: GPL-2.0-only
"""KVM's binary statistics (KVM_GET_STATS_FD, Linux 5.14): a witness beside the guest's counters."""

from __future__ import annotations

import os
import sys

from harness.native import ffi


class Stats:
    """The statistics of one VM or vCPU, behind a descriptor of their own.

    Names, sizes and places are read once, as api.rst 4.134 describes the file.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        header = ffi.new("struct kvm_stats_header *")
        size = ffi.sizeof("struct kvm_stats_header")
        ffi.buffer(header)[:] = os.pread(fd, size, 0)
        self._data_offset = int(header.data_offset)
        step = ffi.sizeof("struct kvm_stats_desc") + header.name_size
        block = os.pread(fd, step * header.num_desc, header.desc_offset)
        self._places: dict[str, tuple[int, int]] = {}
        for index in range(header.num_desc):
            entry = block[index * step : (index + 1) * step]
            description = ffi.from_buffer("struct kvm_stats_desc *", entry)
            name = entry[ffi.sizeof("struct kvm_stats_desc") :].split(b"\0", 1)[0].decode()
            self._places[name] = (int(description.offset), int(description.size))

    def names(self) -> tuple[str, ...]:
        """What this kernel counts."""
        return tuple(self._places)

    def read(self, name: str) -> int | None:
        """The (first) value of a statistic now; None where this kernel does not count it."""
        place = self._places.get(name)
        if place is None:
            return None
        return int.from_bytes(os.pread(self.fd, 8, self._data_offset + place[0]), sys.byteorder)

    def close(self) -> None:
        """Closes the descriptor; a second call does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
