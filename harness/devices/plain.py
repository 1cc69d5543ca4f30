# SPDX-License-Identifier: GPL-2.0-only
"""Devices that every architecture may have, whose every access is one exit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from guest_blobs import memory_map as at
from harness.devices.device import Device
from harness.kvm import answers, exits
from harness.kvm.arch import word_of
from harness.kvm.guest import Guest, create
from harness.kvm.speech import Channel, Word
from harness.kvm.system import System
from harness.kvm.vcpu import Vcpu

_BYTES = 4


def mmio_window(ram_base: int) -> Channel:
    """A load and a store of 32 bits, side by side."""
    window = ram_base + at.MMIO_BASE

    def comes(found: exits.VcpuExit | None, is_write: bool, address: int) -> bool:
        return isinstance(found, exits.Mmio) and (
            (found.is_write, found.address, found.length) == (is_write, address, _BYTES)
        )

    def give(vcpu: Vcpu, asked: exits.Mmio, value: int) -> None:
        answers.answer_mmio(vcpu, asked, value.to_bytes(_BYTES, sys.byteorder))

    return Channel(
        "mmio",
        first=0x12345611,
        is_read=lambda found: comes(found, False, window),
        is_write=lambda found: comes(found, True, window + _BYTES),
        give=give,
        written=lambda told: int.from_bytes(told.data, sys.byteorder),
    )


HYPERCALL = Channel(
    "hypercall",
    first=0x12345611,
    is_read=lambda found: isinstance(found, exits.Hypercall),
    is_write=lambda found: False,
    give=answers.answer_hypercall,
    lacking="no_hypercall_exits",
    writes=False,
)


class Hypercalls(Device):
    """A hypercall that userspace serves: its result is what is read. Nothing is written."""

    def __init__(self, guest: Guest, mode: str, channel: Channel) -> None:
        super().__init__(guest, mode, channel)
        self._ahead: exits.VcpuExit | None = None

    @classmethod
    def possible(cls, channel: Channel, system: System, mode: str) -> bool:
        """The capability alone does not tell: kvm_pvm offers the exit and has it not.

        So another guest makes one call. With the stop word set it leaves after it, by the exit of
        its own where the call did not leave; any other exit is for the tests to judge.
        """
        with create(system) as other:
            if not other.architecture.enable_hypercall_exits(other.vm):
                return False
            cls(other, mode, channel)
            other.stop()
            return word_of(other.vcpu.run().exit) is not Word.DONE

    def _prepare(self) -> None:
        architecture = self.guest.architecture
        architecture.enable_hypercall_exits(self.guest.vm)
        for index, value in architecture.hypercall_program().items():
            self.guest.set_data(index, value)

    def run_to_read(self, circumstance: str) -> exits.VcpuExit:
        """As for any device; no run, where `run_past_read()` has come to this call already."""
        __tracebackhide__ = True
        found, self._ahead = self._ahead, None
        return found or super().run_to_read(circumstance)

    def run_past_read(self, circumstance: str, value: int | None = None) -> None:
        """What comes behind a call is the next call."""
        __tracebackhide__ = True
        self._ahead = self.run_to_read(circumstance)

    def turns(self, number: int) -> None:
        """Whole turns by normal runs. The last answer is left to be completed."""
        for turn in range(1, number + 1):
            self.answer(self.run_to_read(f"In turn {turn} of normal runs"))

    def require_in_step(self, reads: int, writes: int, circumstance: str) -> None:
        """As for any device; no turn has a write (there stand the calls that were unknown)."""
        __tracebackhide__ = True
        super().require_in_step(reads, 0, circumstance)


class ParavirtualCalls(Hypercalls):
    """Hypercalls of another hypervisor's interface.

    `offer` turns it on for a guest that has not run, and gives the program's data words.
    """

    def __init__(
        self, guest: Guest, mode: str, channel: Channel, offer: Callable[[Guest], Mapping[int, int]]
    ) -> None:
        self._offer = offer
        super().__init__(guest, mode, channel)

    def _prepare(self) -> None:
        for index, value in self._offer(self.guest).items():
            self.guest.set_data(index, value)

    def comes(self) -> bool:
        """Whether the call leaves to userspace. It ends a guest that is good for nothing else."""
        self.guest.stop()
        return word_of(self.guest.vcpu.run().exit) is not Word.DONE
