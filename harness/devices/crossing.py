# SPDX-License-Identifier: GPL-2.0-only
"""A device whose accesses take several exits."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from harness.devices.device import Device
from harness.kvm import answers, exits
from harness.kvm.guest import Guest
from harness.kvm.run import RunResult
from harness.kvm.speech import Channel
from harness.require import unmet_exit


class CrossingWindow(Device):
    """A load and a store that cross from one page to the next, so that each takes several exits.

    `size` is the datum's, in bytes; `pieces` how many exits the access under way has taken.
    """

    def __init__(self, guest: Guest, mode: str, channel: Channel) -> None:
        super().__init__(guest, mode, channel)
        self.address, self.size = guest.architecture.crossing_datum(mode)
        self.value = channel.first % (1 << 8 * self.size) - 1
        self.pieces = 0
        self._writing = False
        self._moved = bytearray()

    def is_read(self, found: exits.VcpuExit | None) -> bool:
        return self._is_piece(found, False, 0)

    def is_write(self, found: exits.VcpuExit | None) -> bool:
        return self._is_piece(found, True, 0)

    def _is_piece(self, found: exits.VcpuExit | None, is_write: bool, offset: int) -> bool:
        return (
            isinstance(found, exits.Mmio)
            and found.is_write == is_write
            and found.address == self.address + offset
            and 0 < found.length <= self.size - offset
        )

    def give(self, asked: exits.Mmio, value: int) -> None:
        start = asked.address - self.address
        data = value.to_bytes(self.size, sys.byteorder)[start : start + asked.length]
        answers.answer_mmio(self.guest.vcpu, asked, data)

    def written(self, told: Any) -> int:
        return int.from_bytes(self._moved, sys.byteorder)

    # ---- pieces

    def answer(self, asked: exits.VcpuExit) -> int:
        """Begins to give the next value, by its first piece; the whole value."""
        self.value += 1
        self._begin(asked)
        return self.value

    def run_to_write(self, circumstance: str, value: int | None = None) -> exits.VcpuExit:
        """A normal KVM_RUN, which must bring the first piece of the write."""
        __tracebackhide__ = True
        told = self._run_to(self.is_write, "write", circumstance)
        self._begin(told)
        return told

    def _begin(self, first: exits.VcpuExit) -> None:
        self.pieces, self._writing = 0, self.is_write(first)
        self._moved.clear()
        self._serve(first)

    def _serve(self, piece: Any) -> None:
        self.pieces += 1
        if self._writing:
            self._moved += piece.data
        else:
            self.give(piece, self.value)
            self._moved += bytes(piece.length)

    def is_whole(self) -> bool:
        """Whether all bytes of the access under way have passed."""
        return len(self._moved) == self.size

    def take_piece(self, result: RunResult, circumstance: str) -> None:
        """This run must have brought the next piece, which is served."""
        __tracebackhide__ = True
        moved = len(self._moved)
        piece = result.exit
        if result.rescue or piece is None or not self._is_piece(piece, self._writing, moved):
            text = (
                f"after {moved} of {self.size} bytes KVM_RUN must return 0 with the next piece of "
                f"the access at {self.address:#x}, but {result.describe()}"
            )
            raise unmet_exit(circumstance, text, result, exits.reason_of(exits.Mmio))
        self._serve(piece)

    def take_the_rest(self, run: Callable[[], RunResult], circumstance: str) -> None:
        """Serves the access under way to its last piece, which is left to be completed."""
        __tracebackhide__ = True
        while not self.is_whole():
            self.take_piece(run(), circumstance)

    def turns(self, number: int) -> None:
        """Whole turns by normal runs. The last piece is left to be completed."""
        for turn in range(1, number + 1):
            said = f"In turn {turn} of normal runs"
            self.answer(self.run_to_read(said))
            self.take_the_rest(self.guest.vcpu.run_raw, said)
            self.run_to_write(said)
            self.take_the_rest(self.guest.vcpu.run_raw, said)

    def require_whole(self, circumstance: str) -> None:
        """All bytes have passed."""
        __tracebackhide__ = True
        if not self.is_whole():
            raise AssertionError(
                f"{circumstance}, all {self.size} bytes must have passed before EINTR, "
                f"but {len(self._moved)} did"
            )

    def require_written(self, circumstance: str) -> None:
        """The pieces of the write make what was read, + 1."""
        __tracebackhide__ = True
        if self.written(None) != self.value + 1:
            raise AssertionError(
                f"{circumstance}, the guest must write {self.value + 1:#x}, for it read "
                f"{self.value:#x}, but it wrote {self.written(None):#x}"
            )
