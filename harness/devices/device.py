# SPDX-License-Identifier: GPL-2.0-only
"""What every device has in common: the dialogue with its program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from guest_blobs import memory_map as at
from harness.kvm import exits
from harness.kvm.call_log import ANY_EXIT
from harness.kvm.guest import Guest
from harness.kvm.speech import Channel
from harness.kvm.system import System
from harness.kvm.unmet import UnmetError, word
from harness.require import unmet_exit

_VALUE, _READS, _WRITES = 0, 1, 2  # the data words that all of the programs share


class Device:
    """The other end of a channel. `value` is the last one given; the next is `value` + 1.

    `destination`: the registers besides COMPLETION_REGISTERS that a read ends in.
    """

    def __init__(self, guest: Guest, mode: str, channel: Channel) -> None:
        """Loads the program. Raises `KvmError`."""
        guest.load(channel.program, mode)
        self.guest = guest
        self.channel = channel
        self.value = channel.first - 1
        self.destination = channel.destination
        self._reasons: dict[str, int] = {}
        self._prepare()

    @classmethod
    def possible(cls, channel: Channel, system: System, mode: str) -> bool:
        """Whether this KVM shows its exits. Raises `KvmError`."""
        return channel.possible(system)

    def _prepare(self) -> None:
        """The guest's VM shows the exits, and the program has its data."""
        for index, value in self.channel.prepare(self.guest.vm).items():
            self.guest.set_data(index, value)

    def is_read(self, found: exits.VcpuExit | None) -> bool:
        """Whether this exit is the program's read."""
        return self.channel.is_read(found)

    def is_write(self, found: exits.VcpuExit | None) -> bool:
        """Whether this exit is the program's write."""
        return self.channel.is_write(found)

    def give(self, asked: Any, value: int) -> None:
        """Puts a value where the kernel takes it from."""
        self.channel.give(self.guest.vcpu, asked, value)

    def leave(self, asked: Any, value: int) -> None:
        """Leaves another value in kvm_run, once the kernel has taken its answer."""
        (self.channel.leave or self.channel.give)(self.guest.vcpu, asked, value)

    def written(self, told: Any) -> int:
        """The value of a write."""
        return self.channel.written(told)

    # ---- the dialogue

    def run_to_read(self, circumstance: str) -> exits.VcpuExit:
        """A normal KVM_RUN, which must bring the program's read. The exit, not answered yet."""
        __tracebackhide__ = True
        return self._run_to(self.is_read, "read", circumstance)

    def run_to_write(self, circumstance: str, value: int | None = None) -> exits.VcpuExit:
        """A normal KVM_RUN, which must bring the write of `value` (the last one given) + 1.

        It is answered, where it waits for that.
        """
        __tracebackhide__ = True
        told = self._run_to(self.is_write, "write", circumstance)
        read = self.value if value is None else value
        if self.written(told) != read + 1:
            raise AssertionError(
                f"{circumstance}, the guest must write {read + 1:#x}, for it read {read:#x}, "
                f"but it writes {self.written(told):#x}"
            )
        self.channel.take(self.guest.vcpu, told)
        return told

    def run_past_read(self, circumstance: str, value: int | None = None) -> None:
        """A normal KVM_RUN, which must bring what comes behind the read of `value`."""
        __tracebackhide__ = True
        self.run_to_write(circumstance, value)

    def _run_to(
        self, comes: Callable[[exits.VcpuExit | None], bool], what: str, circumstance: str
    ) -> exits.VcpuExit:
        __tracebackhide__ = True
        result = self.guest.vcpu.run_raw()
        if result.rescue or result.exit is None or not comes(result.exit):
            text = (
                f"KVM_RUN must return 0 with the next {what} of the program "
                f"{self.channel.program}, but {result.describe()}"
            )
            reason = self._reasons.get(what, ANY_EXIT)
            raise unmet_exit(circumstance, text, result, reason)
        self._reasons[what] = result.exit_reason
        return result.exit

    def answer(self, asked: exits.VcpuExit) -> int:
        """Gives the next value, and returns it."""
        self.value += 1
        self.give(asked, self.value)
        return self.value

    def with_accumulator(self, value: int) -> int:
        """What the guest has read, once the accumulator was set to `value`."""
        return self.value & self.channel.beside | value

    def turns(self, number: int) -> None:
        """Whole turns by normal runs. The last write is left to be completed."""
        for turn in range(1, number + 1):
            self.answer(self.run_to_read(f"In turn {turn} of normal runs"))
            self.run_to_write(f"In turn {turn} of normal runs")

    def move_to(self, other: Guest) -> None:
        """The guest goes on in another VM, and this device with it."""
        self.guest.copy_to(other)
        self.guest = other
        self._prepare()

    def require_in_step(self, reads: int, writes: int, circumstance: str) -> None:
        """The guest counted so many reads and writes: it does so behind each instruction."""
        __tracebackhide__ = True
        found = self.guest.data(_READS), self.guest.data(_WRITES)
        if found != (reads, writes):
            text = (
                f"the guest must have gone past {reads} reads and {writes} writes, but it counted "
                f"{found[0]} and {found[1]}"
            )
            first = (_READS, reads) if found[0] != reads else (_WRITES, writes)
            self._unmet_word(circumstance, text, *first)

    def require_stored(self, value: int, circumstance: str) -> None:
        """The instruction behind the read stored this value (its low 32 bits)."""
        __tracebackhide__ = True
        found = self.guest.data(_VALUE)
        if found != value & 0xFFFFFFFF:
            wanted = value & 0xFFFFFFFF
            text = (
                f"the guest must have stored {wanted:#x} after its read, but it stored {found:#x}"
            )
            self._unmet_word(circumstance, text, _VALUE, wanted)

    def _unmet_word(self, circumstance: str, text: str, index: int, wanted: int) -> NoReturn:
        __tracebackhide__ = True
        name = word(at.data_word(index))
        raise UnmetError(circumstance, text, "is", self.guest.vcpu, value=wanted, names=(name,))
