# SPDX-License-Identifier: GPL-2.0-only
"""Devices whose every access is one exit."""

from __future__ import annotations

from typing import Any

from guest_blobs import memory_map as at
from harness.devices.device import Device
from harness.kvm import answers, exits
from harness.kvm.guest import Guest, create
from harness.kvm.system import System

_MSR = 0xC0001F00  # an MSR that no processor has: the filter speaks before KVM looks at it
_MSR_EXCEPTIONS, _MSR_INDEX = 4, 5  # data words of the program msr


class Ports(Device):
    """IN and OUT of a byte."""

    PROGRAM = "port_io"
    ARCHITECTURES = ("x86_64",)
    FIRST = 0x11

    def is_read(self, found: exits.Exit | None) -> bool:
        return isinstance(found, exits.Io) and not found.is_write and found.port == at.PORT_IN

    def is_write(self, found: exits.Exit | None) -> bool:
        return isinstance(found, exits.Io) and found.is_write and found.port == at.PORT_OUT

    def give(self, asked: exits.Io, value: int) -> None:
        answers.answer_io(self.guest.vcpu, asked, value.to_bytes(1, "little"))

    def written(self, told: exits.Io) -> int:
        return int.from_bytes(told.data, "little")


class MmioWindow(Device):
    """A load and a store of 32 bits, side by side."""

    PROGRAM = "mmio"
    FIRST = 0x12345611

    def is_read(self, found: exits.Exit | None) -> bool:
        return isinstance(found, exits.Mmio) and (found.is_write, found.address, found.length) == (
            False,
            at.MMIO_BASE,
            4,
        )

    def is_write(self, found: exits.Exit | None) -> bool:
        return isinstance(found, exits.Mmio) and (found.is_write, found.address, found.length) == (
            True,
            at.MMIO_BASE + 4,
            4,
        )

    def give(self, asked: exits.Mmio, value: int) -> None:
        answers.answer_mmio(self.guest.vcpu, asked, value.to_bytes(4, "little"))

    def written(self, told: exits.Mmio) -> int:
        return int.from_bytes(told.data, "little")


class Msr(Device):
    """RDMSR and WRMSR of a filtered MSR: 64 bits."""

    PROGRAM = "msr"
    ARCHITECTURES = ("x86_64",)
    LACKING = "no_msr_exits"
    FIRST = 0x1ABCDEF012345611

    def __init__(self, guest: Guest, mode: str) -> None:
        super().__init__(guest, mode)
        self._filter()

    def _filter(self) -> None:
        # Only x86 has this device, so the architecture's module has these functions.
        x86: Any = self.guest.architecture
        x86.enable_msr_exits(self.guest.vm, "FILTER")
        x86.deny_msr(self.guest.vm, _MSR)
        self.guest.set_data(_MSR_INDEX, _MSR)

    @classmethod
    def possible(cls, system: System, mode: str) -> bool:
        return bool(
            system.check_extension("KVM_CAP_X86_USER_SPACE_MSR")
            and system.check_extension("KVM_CAP_X86_MSR_FILTER")
        )

    def is_read(self, found: exits.Exit | None) -> bool:
        return isinstance(found, exits.Rdmsr) and found.index == _MSR

    def is_write(self, found: exits.Exit | None) -> bool:
        return isinstance(found, exits.Wrmsr) and found.index == _MSR

    def give(self, asked: exits.Rdmsr, value: int) -> None:
        answers.answer_msr(self.guest.vcpu, asked, value)

    def written(self, told: exits.Wrmsr) -> int:
        return told.data

    def with_accumulator(self, value: int) -> int:
        """RDX keeps the upper half."""
        return self.value >> 32 << 32 | value

    def run_to_write(self, circumstance: str, value: int | None = None) -> exits.Exit:
        """As for any device; the write is answered, as taken."""
        __tracebackhide__ = True
        told = super().run_to_write(circumstance, value)
        if not isinstance(told, exits.Wrmsr):
            raise TypeError(f"a write to an MSR must be a Wrmsr, not {told!r}")
        answers.answer_msr(self.guest.vcpu, told)
        return told

    def refuse(self, asked: exits.Exit) -> None:
        """The guest gets a #GP."""
        answers.refuse_msr(self.guest.vcpu, asked)

    def move_to(self, other: Guest) -> None:
        """As for any device; the other VM filters too."""
        super().move_to(other)
        self._filter()

    def exceptions(self) -> int:
        """#GP that the guest has taken."""
        return self.guest.data(_MSR_EXCEPTIONS)


class Hypercalls(Device):
    """A hypercall that userspace serves: its result is what is read. Nothing is written."""

    PROGRAM = "hypercall"
    LACKING = "no_hypercall_exits"
    FIRST = 0x12345611
    IS_WRITTEN = False

    def __init__(self, guest: Guest, mode: str) -> None:
        super().__init__(guest, mode)
        self._ahead: exits.Exit | None = None
        guest.architecture.enable_hypercall_exits(guest.vm)
        for index, value in guest.architecture.hypercall_program().items():
            guest.set_data(index, value)

    @classmethod
    def possible(cls, system: System, mode: str) -> bool:
        """The capability alone does not tell: kvm_pvm offers the exit and has it not.

        So another guest makes one call. With the stop word set it leaves after it, by the exit of
        its own where the call did not leave; any other exit is for the tests to judge.
        """
        with create(system) as other:
            if not other.architecture.enable_hypercall_exits(other.vm):
                return False
            cls(other, mode)
            other.stop()
            return not other.architecture.left(other.vcpu.run().exit)

    def is_read(self, found: exits.Exit | None) -> bool:
        return isinstance(found, exits.Hypercall)

    def is_write(self, found: exits.Exit | None) -> bool:
        return False

    def give(self, asked: exits.Hypercall, value: int) -> None:
        answers.answer_hypercall(self.guest.vcpu, asked, value)

    def written(self, told: Any) -> int:
        raise ValueError("a hypercall writes nothing")

    def run_to_read(self, circumstance: str) -> exits.Exit:
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
        """As for any device; no turn has a write (there stand the calls that were #UD)."""
        __tracebackhide__ = True
        super().require_in_step(reads, 0, circumstance)

    def move_to(self, other: Guest) -> None:
        """As for any device; the other VM's calls leave the guest too."""
        super().move_to(other)
        other.architecture.enable_hypercall_exits(other.vm)
