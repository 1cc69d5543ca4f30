# SPDX-License-Identifier: GPL-2.0-only
"""Races on one guest, with the controls that make their verdicts worth something."""

from __future__ import annotations

from collections.abc import Sequence

from harness.kick.engine import run
from harness.kick.plan import Delays, Delivery, Plan, Protocol
from harness.kick.slots import Slot
from harness.kick.summary import Summary
from harness.kvm.guest import Guest

CONTROL_KICKS = 14
"""Each loss takes some 60 ms to be sure of, so there are few; every second one is to be lost."""
_BY_ITSELF = 6  # of which all but the first, which comes before the check, are to be lost
_WIDE_NS = 100_000
_NO_LIMIT = 0.0


class Race:
    """A guest on a slot's processors. `speed` is its turns a second."""

    def __init__(self, guest: Guest, slot: Slot, speed: int) -> None:
        self.guest = guest
        self.slot = slot
        self.speed = speed

    def run(self, *plans: Plan) -> list[Summary]:
        """One plan after the other."""
        return [self._run(plan) for plan in plans]

    def control(self, delivery: Delivery, *, halts: bool = False, exits: bool = False) -> Summary:
        """Signals without byte and mask, half of them into a wide window: those must be lost."""
        return self._run(
            Plan(
                Protocol.CONTROL,
                kicks=_BY_ITSELF if delivery is Delivery.ITSELF else CONTROL_KICKS,
                delivery=delivery,
                delays=Delays(0, 60_000, 0),
                window_ns=0 if delivery is Delivery.ITSELF else _WIDE_NS,
                halts=halts,
                exits=exits,
            )
        )

    def _run(self, plan: Plan) -> Summary:
        return self.run_beside([self.guest], [plan])[0]

    def run_beside(self, guests: Sequence[Guest], plans: Sequence[Plan]) -> list[Summary]:
        """All plans at once, each on its guest."""
        return run(guests, plans, slot=self.slot, speed=self.speed, time_limit_s=_NO_LIMIT)


def schedules(protocol: Protocol, delivery: Delivery, kicks: int) -> list[Plan]:
    """So many kicks in all: swept, random, closed loop, and into a wide window.

    A timer's kicks come late by what its interrupt takes, and its closed loop would always come
    before the check: its third schedule is a second sweep, over later delays.
    """
    wide, closed = kicks // 50 + 1, kicks // 5
    swept = (kicks - wide - closed) // 2
    rest = kicks - wide - closed - swept
    loop = Delays(0, 0) if delivery is not Delivery.TIMER else Delays(5_000, 40_000)
    return [
        Plan(protocol, swept, delivery, Delays(0, 20_000, 10)),
        Plan(protocol, rest, delivery, Delays(0, 20_000, 0), window_ns=8_000),
        Plan(protocol, closed, delivery, loop, window_ns=0),
        Plan(protocol, wide, delivery, Delays(0, 60_000, 0), window_ns=_WIDE_NS),
    ]
