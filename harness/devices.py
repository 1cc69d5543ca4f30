# SPDX-License-Identifier: GPL-2.0-only
"""The other end of the I/O programs of guest_blobs: a device that answers and takes note.

The programs port_io, mmio, mmio_cross and msr are one dialogue: the guest reads a value, stores it
to data[0], counts in data[1], writes the value + 1, counts in data[2], and begins again. The device
gives value, value + 1, ... So a read or a write that is lost, repeated or torn shows in the next
exit or in the counters. (hypercall: a call is a read; nothing is written.)

A device loads its program itself. An exit other than the one that must come is an AssertionError
with a sentence for a bug report, as in `harness.verdicts`.
"""

from __future__ import annotations

import abc
import platform
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from guest_blobs import memory_map as at
from harness.kvm import answers, exits
from harness.kvm.guest import Guest, create
from harness.kvm.run import RunResult
from harness.kvm.system import System

_MSR = 0xC0001F00  # an MSR that no processor has: the filter speaks before KVM looks at it
_VALUE, _READS, _WRITES = 0, 1, 2  # the data words that all of the programs share
_MSR_EXCEPTIONS, _MSR_INDEX = 4, 5


class Device(abc.ABC):
    """What is common to all. `value` is the last one given; the next is `value` + 1."""

    PROGRAM: ClassVar[str]
    ARCHITECTURES: ClassVar[tuple[str, ...]] = ()
    """Where there is such a thing; empty: everywhere."""
    LACKING: ClassVar[str] = ""
    """The word (harness.host.features) for a host that cannot show its exits."""
    FIRST: ClassVar[int]
    """The first value."""
    IS_WRITTEN: ClassVar[bool] = True
    """Whether its program writes."""

    def __init__(self, guest: Guest, mode: str) -> None:
        """Loads the program. Raises `KvmError`."""
        guest.load(self.PROGRAM, mode)
        self.guest = guest
        self.value = self.FIRST - 1

    @classmethod
    def exists_here(cls) -> bool:
        """Whether this machine's architecture has it."""
        return not cls.ARCHITECTURES or platform.machine() in cls.ARCHITECTURES

    @classmethod
    def possible(cls, system: System, mode: str) -> bool:
        """Whether this KVM shows its exits. Raises `KvmError`."""
        return True

    @abc.abstractmethod
    def is_read(self, found: exits.Exit | None) -> bool:
        """Whether this exit is the program's read."""

    @abc.abstractmethod
    def is_write(self, found: exits.Exit | None) -> bool:
        """Whether this exit is the program's write."""

    @abc.abstractmethod
    def give(self, asked: Any, value: int) -> None:
        """Puts a value where the kernel takes it from."""

    @abc.abstractmethod
    def written(self, told: Any) -> int:
        """The value of a write."""

    # ---- the dialogue

    def run_to_read(self, circumstance: str) -> exits.Exit:
        """A normal KVM_RUN, which must bring the program's read. The exit, not answered yet."""
        __tracebackhide__ = True
        return self._run_to(self.is_read, "read", circumstance)

    def run_to_write(self, circumstance: str, value: int | None = None) -> exits.Exit:
        """A normal KVM_RUN, which must bring the write of `value` (the last one given) + 1."""
        __tracebackhide__ = True
        told = self._run_to(self.is_write, "write", circumstance)
        read = self.value if value is None else value
        if self.written(told) != read + 1:
            raise AssertionError(
                f"{circumstance}, the guest must write {read + 1:#x}, for it read {read:#x}, "
                f"but it writes {self.written(told):#x}"
            )
        return told

    def run_past_read(self, circumstance: str, value: int | None = None) -> None:
        """A normal KVM_RUN, which must bring what comes behind the read of `value`."""
        __tracebackhide__ = True
        self.run_to_write(circumstance, value)

    def _run_to(
        self, comes: Callable[[exits.Exit | None], bool], what: str, circumstance: str
    ) -> exits.Exit:
        __tracebackhide__ = True
        result = self.guest.vcpu.run_raw()
        if result.rescue or result.exit is None or not comes(result.exit):
            raise AssertionError(
                f"{circumstance}, KVM_RUN must return 0 with the next {what} of the program "
                f"{self.PROGRAM}, but {result.describe()}"
            )
        return result.exit

    def answer(self, asked: exits.Exit) -> int:
        """Gives the next value, and returns it."""
        self.value += 1
        self.give(asked, self.value)
        return self.value

    def with_accumulator(self, value: int) -> int:
        """What the guest has read, once the accumulator was set to `value`."""
        return value

    def turns(self, number: int) -> None:
        """Whole turns by normal runs. The last write is left to be completed."""
        for turn in range(1, number + 1):
            self.answer(self.run_to_read(f"In turn {turn} of normal runs"))
            self.run_to_write(f"In turn {turn} of normal runs")

    def move_to(self, other: Guest) -> None:
        """The guest goes on in another VM, and this device with it."""
        self.guest.copy_to(other)
        self.guest = other

    def require_in_step(self, reads: int, writes: int, circumstance: str) -> None:
        """The guest counted so many reads and writes: it does so behind each instruction."""
        __tracebackhide__ = True
        found = self.guest.data(_READS), self.guest.data(_WRITES)
        if found != (reads, writes):
            raise AssertionError(
                f"{circumstance}, the guest must have gone past {reads} reads and {writes} writes, "
                f"but it counted {found[0]} and {found[1]}"
            )

    def require_stored(self, value: int, circumstance: str) -> None:
        """The instruction behind the read stored this value (its low 32 bits)."""
        __tracebackhide__ = True
        found = self.guest.data(_VALUE)
        if found != value & 0xFFFFFFFF:
            raise AssertionError(
                f"{circumstance}, the guest must have stored {value & 0xFFFFFFFF:#x} "
                f"after its read, but it stored {found:#x}"
            )


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
        assert isinstance(told, exits.Wrmsr)
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

        So another guest makes one call. With the stop word set it leaves after it, by an exit of
        its own where the call did not leave.
        """
        with create(system) as other:
            if not other.architecture.enable_hypercall_exits(other.vm):
                return False
            device = cls(other, mode)
            other.stop()
            return device.is_read(other.vcpu.run().exit)

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


class CrossingWindow(Device):
    """A load and a store that cross from one page to the next, so that each takes several exits.

    `size` is the datum's, in bytes; `pieces` how many exits the access under way has taken.
    """

    PROGRAM = "mmio_cross"
    FIRST = 0x1122334455667711

    def __init__(self, guest: Guest, mode: str) -> None:
        super().__init__(guest, mode)
        self.address, self.size = guest.architecture.crossing_datum(mode)
        self.value = self.FIRST % (1 << 8 * self.size) - 1
        self.pieces = 0
        self._writing = False
        self._moved = bytearray()

    def is_read(self, found: exits.Exit | None) -> bool:
        return self._is_piece(found, False, 0)

    def is_write(self, found: exits.Exit | None) -> bool:
        return self._is_piece(found, True, 0)

    def _is_piece(self, found: exits.Exit | None, is_write: bool, offset: int) -> bool:
        return (
            isinstance(found, exits.Mmio)
            and found.is_write == is_write
            and found.address == self.address + offset
            and 0 < found.length <= self.size - offset
        )

    def give(self, asked: exits.Mmio, value: int) -> None:
        start = asked.address - self.address
        data = value.to_bytes(self.size, "little")[start : start + asked.length]
        answers.answer_mmio(self.guest.vcpu, asked, data)

    def written(self, told: Any) -> int:
        return int.from_bytes(self._moved, "little")

    # ---- pieces

    def answer(self, asked: exits.Exit) -> int:
        """Begins to give the next value, by its first piece; the whole value."""
        self.value += 1
        self._begin(asked)
        return self.value

    def run_to_write(self, circumstance: str, value: int | None = None) -> exits.Exit:
        """A normal KVM_RUN, which must bring the first piece of the write."""
        __tracebackhide__ = True
        told = self._run_to(self.is_write, "write", circumstance)
        self._begin(told)
        return told

    def _begin(self, first: exits.Exit) -> None:
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
        if result.rescue or not self._is_piece(result.exit, self._writing, moved):
            raise AssertionError(
                f"{circumstance}, after {moved} of {self.size} bytes KVM_RUN must return 0 with "
                f"the next piece of the access at {self.address:#x}, but {result.describe()}"
            )
        assert result.exit is not None
        self._serve(result.exit)

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


DEVICES: Mapping[str, type[Device]] = {
    device.PROGRAM: device for device in (Ports, MmioWindow, Msr, Hypercalls, CrossingWindow)
}
