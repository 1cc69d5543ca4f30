# SPDX-License-Identifier: GPL-2.0-only
"""What every device has in common: the dialogue with its program."""

from __future__ import annotations

import abc
import platform
from collections.abc import Callable
from typing import Any, ClassVar

from harness.kvm import exits
from harness.kvm.guest import Guest
from harness.kvm.system import System

_VALUE, _READS, _WRITES = 0, 1, 2  # the data words that all of the programs share


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
