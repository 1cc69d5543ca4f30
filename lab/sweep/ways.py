# SPDX-License-Identifier: GPL-2.0-only
"""The ways from the check of the flag to the guest's first instruction that a sweep takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.kick.plan import Protocol
from harness.kvm import arch
from harness.native import lib


@dataclass(frozen=True)
class Way:
    """One way into the guest.

    `program` and `irqchip` make the guest, `data` its mailbox words. `runs_before`: KVM_RUNs
    before each round, each of which ends with the guest's own exit, so that the round begins with
    an operation pending. `sleeps`: it halts in the kernel, without polling, before the first.
    `length` bounds the instructions from the check to the guest.
    """

    name: str
    program: str
    irqchip: str = "none"
    data: Mapping[int, int] = field(default_factory=dict)
    runs_before: int = 0
    sleeps: bool = False
    length: int = 1700

    @property
    def spins(self) -> bool:
        """Whether the guest counts and never leaves by itself."""
        return self.program == "heartbeat"


WAYS = {
    way.name: way
    for way in (
        Way("spinning", "heartbeat"),
        # Two: its write and its read take turns, and each round is to begin with the same one.
        Way("pending", arch.dialogue(), runs_before=2, length=2300),
        Way("halted", "halt", irqchip="usual", data={0: 1}, sleeps=True, length=2300),
    )
}

#: What a timer can deliver: it writes no byte, so the kicker's own protocol is not among them.
PROTOCOLS = {
    Protocol.HANDLER_WRITES: lib.SW_HANDLER_WRITES,
    Protocol.SIGNAL_MASK: lib.SW_SIGNAL_MASK,
    Protocol.CONTROL: lib.SW_CONTROL,
}
