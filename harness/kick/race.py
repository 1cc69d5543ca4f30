# SPDX-License-Identifier: GPL-2.0-only
"""Races on one guest, with the controls that make their verdicts worth something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.host import pace
from harness.kick.engine import run
from harness.kick.plan import (
    ENOUGH_LOSSES,
    Delays,
    Delivery,
    Landing,
    Plan,
    Protocol,
    can_deliver,
    check_vcpus,
)
from harness.kick.slots import Slot
from harness.kick.summary import Summary
from harness.kick.verdict import fired, lacking, landed
from harness.kvm.guest import Guest

CONTROL_KICKS = 4
"""A control at a time: each loss takes some 60 ms to be sure of, and every second one is to be."""
MOST_CONTROLS = 8
"""So many in a row without a loss, and the control has lost none: 16 kicks into the window."""
MOST_MORE = 4
"""So many more plans of a race whose kicks did not land where they are needed."""
_BY_ITSELF = 6  # of which all but the first, which comes before the check, are to be lost
_WIDE_NS = 100_000
_LATEST_NS = 60_000  # a control's kick, from the round's beginning: well inside of the window
# Longer than a time slice: on one processor the kicker has its turn when the vCPU's is over.
_WIDE_TOGETHER_NS = 20_000_000
# On an emulated host a kicker may wait for its turn, and a timer that is armed for the next 60 us
# is due before the check.
_WIDE_EMULATED_NS = 10_000_000
# A kicker that competes for its processor comes when it gets it: the next control waits longer.
_WIDER = 4
_WIDEST_NS = 100_000_000
_NO_LIMIT = 0.0


class Race:
    """A guest on a slot's processors. `speed` is its turns a second."""

    def __init__(self, guest: Guest, slot: Slot, speed: int) -> None:
        self.guest = guest
        self.slot = slot
        self.speed = speed

    def run(self, *plans: Plan) -> list[Summary]:
        """One plan after the other, until enough kicks are lost."""
        done: list[Summary] = []
        for plan in plans:
            if sum(each.losses for each in done) < ENOUGH_LOSSES:
                done.append(self._run(plan))
        return done

    def until_landed(
        self, races: Sequence[Summary], minima: Mapping[Landing, int]
    ) -> list[Summary]:
        """These races, and as many more as it takes until each landing has its minimum of kicks.

        A sample that is too small says nothing about the kernel, and on a busy host a kicker that
        waits for its processor misses the window. So the plan that hit what is lacking most often
        runs again, with a wider window each time. `MOST_MORE` at most, and none behind a loss.
        """
        done = list(races)
        for turn in range(1, MOST_MORE + 1):
            short = lacking(landed(done), minima)
            if not short or any(each.losses for each in done):
                break
            best = max(races, key=lambda each: each.landings[short[0]] / max(each.kicks, 1)).plan
            window_ns = _widened(best.window_ns, turn)
            done.append(self._run(replace(best, window_ns=window_ns, seed=best.seed + turn)))
        return done

    def control(self, plan: Plan) -> Summary:
        """The control of a race: on the same guest, delivered and pinned alike, until it loses.

        Signals without byte and mask, half of them into a wide window: those must be lost. Of a
        storm or a burst one kicker and one signal, for the next one would end what this one lost.
        Each control has a wider window than the one before it: on a busy host the kicker waits for
        a processor. The last summary, which has lost nothing if none has.
        """
        for turn in range(MOST_CONTROLS):
            found = self._run(control_plan(plan, turn))
            if fired(found):
                break
        return found

    def _run(self, plan: Plan) -> Summary:
        return self.run_beside([self.guest], [plan])[0]

    def run_beside(self, guests: Sequence[Guest], plans: Sequence[Plan]) -> list[Summary]:
        """All plans at once, each on its guest, until its budget is spent or enough kicks are lost.

        No more vCPUs than one guest may have: a monitor never has more threads in KVM_RUN. Raises
        `PlanError` for more.
        """
        check_vcpus(len(guests), self.guest.vm.check_extension("KVM_CAP_MAX_VCPUS"))
        plans = [replace(plan, enough_losses=ENOUGH_LOSSES) for plan in plans]
        return run(guests, plans, slot=self.slot, speed=self.speed, time_limit_s=_NO_LIMIT)


def control_plan(plan: Plan, turn: int = 0) -> Plan:
    """What the control of a plan does, in its first turn or a later one."""
    itself = plan.delivery is Delivery.ITSELF
    wide, latest = pace.here().choose(
        usual=(_WIDE_NS, _LATEST_NS), slow=(_WIDE_EMULATED_NS, _WIDE_EMULATED_NS // 2)
    )
    if plan.placement == "together":
        wide = _WIDE_TOGETHER_NS
    return replace(
        plan,
        protocol=Protocol.CONTROL,
        kicks=_BY_ITSELF if itself else CONTROL_KICKS,
        delays=Delays(0, latest, 0),
        window_ns=0 if itself else _widened(wide, turn),
        burst=1,
        kickers=1,
    )


def control_of(*, halts: bool, seed: int, kicks: int) -> Plan:
    """A control at each instruction of the window, or, where no thread can step itself there,
    by another thread into a wide one."""
    plan = Plan(Protocol.CONTROL, kicks, Delivery.ITSELF, halts=halts, seed=seed)
    if can_deliver(Delivery.ITSELF):
        return plan
    return control_plan(replace(plan, delivery=Delivery.THREAD))


def _widened(window_ns: int, turn: int) -> int:
    wider: int = window_ns * _WIDER**turn
    return max(window_ns, min(wider, _WIDEST_NS))


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
