# SPDX-License-Identifier: GPL-2.0-only
"""A guest in a VM of its own beside the sequence's, and what may be done to it under way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

from harness.closing import Closing
from harness.kvm.guest import RAM_SLOT, Guest, create
from harness.kvm.system import System
from harness.kvm.whole import told
from harness.sequences import arch
from harness.sequences.violation import Violation
from harness.ways import BYTE, WayOut

G = TypeVar("G", bound="OtherGuest")


class OtherGuest(Closing, ABC):
    """`guest`; `said` begins a sentence about it, and `claim` is what it shows if nothing else."""

    def __init__(self, system: System, irqchip: str, said: str, claim: str) -> None:
        """Raises `KvmError`."""
        self.system, self.irqchip, self.said, self.claim = system, irqchip, said, claim
        self.guest = self._fresh()

    def _fresh(self) -> Guest:
        guest = create(self.system, self.irqchip)
        try:
            self.load(guest)
        except BaseException:
            guest.close()
            raise
        return guest

    @abstractmethod
    def load(self, guest: Guest) -> None:
        """The program, into a guest that has none. Raises `KvmError`."""

    @abstractmethod
    def leave(self, way: WayOut, times: int = 1) -> None:
        """Runs that end early. Raises `Violation`."""

    def close(self) -> None:
        """Closes its VM."""
        self.guest.close()

    def broken(self, sentence: str, claim: str = "", of: type[Violation] = Violation) -> Violation:
        """What it is that does not hold: a Violation, or one `of` its kinds."""
        return of(claim or self.claim, f"{self.said}, {sentence}")

    def move(self) -> None:
        """It goes on in a fresh VM."""
        old, new = self.guest, self._fresh()
        try:
            new.ram.write(0, old.ram.read(0, old.ram.size))
            arch.current().move(old, new)
        except BaseException:
            new.close()
            raise
        self.guest = new
        old.close()

    def remap(self, *, logged: bool) -> None:
        """Its memory is taken away and given back."""
        self.guest.vm.delete_memory(RAM_SLOT)
        self.guest.vm.restore_memory(RAM_SLOT, log_dirty=logged)

    def step_and_leave(self) -> None:
        """Single-stepping is on for a run that ends at once."""
        self.guest.vcpu.set_guest_debug(single_step=True)
        try:
            self.leave(BYTE)
        finally:
            self.guest.vcpu.set_guest_debug(single_step=False)

    def leave_as_it_was(self) -> None:
        """Around an immediate run nothing changes that KVM lets userspace read."""
        before = self.guest.whole()
        self.leave(BYTE)
        counts = BYTE.counts(self.guest.architecture)
        if found := before.differences(self.guest.whole(), without=counts):
            raise self.broken(
                f"an immediate run must leave the state as it was, but {told(found)}",
                "preset.state_untouched",
            )


def leaves(way: WayOut, times: int = 1) -> Callable[[OtherGuest], None]:
    """What leaves so, for a table."""
    return lambda guest: guest.leave(way, times)


def in_turn(*parts: Callable[[G], object]) -> Callable[[G], None]:
    """One thing behind the other; nothing without any."""

    def do(guest: G) -> None:
        for each in parts:
            each(guest)

    return do
