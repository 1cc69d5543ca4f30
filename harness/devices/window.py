# SPDX-License-Identifier: GPL-2.0-only
"""A window without memory, played as memory: any access is served, and noted byte by byte."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from guest_blobs import memory_map as at
from harness.kvm import answers, exits
from harness.kvm.guest import Guest
from harness.kvm.run import RunResult

_SIZE = at.MMIO_END - at.MMIO_BASE


@dataclass(frozen=True)
class Access:
    """What an instruction does to the window: the bytes that it loads or stores, in order."""

    is_write: bool
    address: int
    data: bytes


#: One byte: whether it was stored, its address, its value.
Moved = tuple[bool, int, int]


def each_byte(accesses: Iterable[Access]) -> list[Moved]:
    """The bytes of accesses in order. How they come in exits is KVM's to choose."""
    return [
        (access.is_write, access.address + offset, byte)
        for access in accesses
        for offset, byte in enumerate(access.data)
    ]


class Window:
    """Memory behind `base`. `moved` are the bytes that passed since `begin()`, in order."""

    def __init__(self, guest: Guest, base: int = at.MMIO_BASE) -> None:
        self._guest = guest
        self._base = guest.address(base)
        self._bytes = bytearray(_SIZE)
        self.moved: list[Moved] = []

    def begin(self, holds: Iterable[Access] = ()) -> None:
        """Forgets what has passed; `holds` is then in it."""
        self.moved.clear()
        self._bytes[:] = bytes(_SIZE)
        for access in holds:
            start = access.address - self._base
            self._bytes[start : start + len(access.data)] = access.data

    def serves(self, found: exits.VcpuExit | None) -> bool:
        """Whether this exit is an access to the window."""
        if not isinstance(found, exits.Mmio):
            return False
        start = found.address - self._base
        return 0 <= start <= start + found.length <= _SIZE

    def serve(self, result: RunResult, circumstance: str) -> None:
        """Answers this run's access, which it must have brought."""
        __tracebackhide__ = True
        piece = result.exit
        if result.rescue or not isinstance(piece, exits.Mmio) or not self.serves(piece):
            raise AssertionError(
                f"{circumstance}, after {len(self.moved)} bytes KVM_RUN must return 0 with the "
                f"next access of the instruction, but {result.describe()}"
            )
        start = piece.address - self._base
        data = piece.data
        if piece.is_write:
            self._bytes[start : start + piece.length] = data
        else:
            data = bytes(self._bytes[start : start + piece.length])
            answers.answer_mmio(self._guest.vcpu, piece, data)
        self.moved += each_byte([Access(piece.is_write, piece.address, data)])

    def require_moved(self, wanted: Iterable[Access], circumstance: str) -> None:
        """These bytes have passed, each once and in this order, and no others."""
        __tracebackhide__ = True
        expected = each_byte(wanted)
        if self.moved == expected:
            return
        pairs = enumerate(zip(self.moved, expected, strict=False))
        shorter = min(len(self.moved), len(expected))
        wrong = next((index for index, (found, must) in pairs if found != must), shorter)
        raise AssertionError(
            f"{circumstance}, {len(expected)} bytes must have passed, each once and in order, but "
            f"of {len(self.moved)} the first wrong one is number {wrong + 1}: "
            f"{_told(self.moved, wrong)} in the place of {_told(expected, wrong)}"
        )


def _told(moved: list[Moved], index: int) -> str:
    if index >= len(moved):
        return "none"
    is_write, address, value = moved[index]
    return f"{value:#04x} {'to' if is_write else 'from'} {address:#x}"
