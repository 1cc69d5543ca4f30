# SPDX-License-Identifier: GPL-2.0-only
"""Many vCPUs and kickers, one processor and many, threads that move and processes that stop."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from harness.host.features import reason
from harness.kick.budget import Budget
from harness.kick.plan import ENOUGH_LOSSES, Delays, Landing, Plan, Protocol
from harness.kick.race import Race
from harness.kick.race_process import RaceProcess
from harness.kick.realtime import obstacle
from harness.kick.slots import Slot
from harness.kick.verdict import InconclusiveError
from harness.kvm.guest import Guest, create
from harness.kvm.running import warm_up
from harness.kvm.system import System
from harness.require import require_eintr
from suites.races.conftest import Judge

pytestmark = pytest.mark.usefixtures("capability")
LEAST_PRIORITY = 1  # of SCHED_FIFO: above all threads that have none
ENTERED = {Landing.IN_ENTRY: 20}
MOVES = 20

either_writes = pytest.mark.parametrize(
    "protocol",
    [Protocol.HANDLER_WRITES, Protocol.KICKER_WRITES],
    ids=lambda protocol: protocol.value,
)


@pytest.mark.claim("races.shapes")
@pytest.mark.parametrize("vcpus", [2, 4], ids=["two_vcpus", "four_vcpus"])
def test_many_vcpus(
    kvm: System,
    race: Race,
    kick_budget: Budget,
    vcpus: int,
    require_no_loss: Judge,
) -> None:
    """Each with a kicker of its own, and all of them wherever the scheduler likes."""
    kicks = kick_budget.part(0.04 / vcpus)
    plans = [
        Plan(Protocol.HANDLER_WRITES, kicks, placement="free", seed=seed + 1, signo=42 + seed)
        for seed in range(vcpus)
    ]
    with ExitStack() as stack:
        guests = [race.guest]
        for _ in plans[1:]:
            guest = stack.enter_context(create(kvm))
            guest.load("heartbeat", race.guest.mode)
            warm_up(guest)
            guests.append(guest)
        races = race.run_beside(guests, plans)
    require_no_loss(race, races, ENTERED)


@pytest.mark.claim("races.shapes")
@either_writes
def test_many_kickers(
    race: Race, kick_budget: Budget, protocol: Protocol, require_no_loss: Judge
) -> None:
    """Four kickers at one vCPU, each with a kick of its own outstanding."""
    plan = Plan(protocol, kick_budget.part(0.1), kickers=4, placement="free")
    require_no_loss(race, race.run(plan), ENTERED)


@pytest.mark.claim("races.shapes")
def test_bursts(race: Race, kick_budget: Budget, require_no_loss: Judge) -> None:
    """Eight signals a kick: those that come too late for it meet the next round."""
    plan = Plan(Protocol.HANDLER_WRITES, kick_budget.part(0.05), burst=8)
    require_no_loss(race, race.run(plan), {Landing.IN_ENTRY: 1})


@pytest.mark.claim("races.shapes")
def test_on_one_processor(race: Race, kick_budget: Budget, require_no_loss: Judge) -> None:
    """Kicker and vCPU take turns on it: the kick comes while the vCPU's thread does not run."""
    plan = Plan(Protocol.HANDLER_WRITES, kick_budget.part(0.002), placement="together")
    require_no_loss(race, race.run(plan))


@pytest.mark.claim("races.shapes")
def test_realtime_kicker(race: Race, kick_budget: Budget, require_no_loss: Judge) -> None:
    """On the vCPU's processor it takes over at once, wherever the vCPU's thread is.

    So the kick comes with that thread stopped at any instruction: before the check, between check
    and entry, and in the kernel.
    """
    why = obstacle(LEAST_PRIORITY)
    if why:
        pytest.skip(reason("no_realtime", why))
    plan = Plan(
        Protocol.HANDLER_WRITES,
        kick_budget.part(0.02),
        delays=Delays(0, 60_000, 0),
        window_ns=40_000,
        placement="together",
        realtime=LEAST_PRIORITY,
    )
    require_no_loss(race, race.run(plan), {Landing.IN_WINDOW: 20, Landing.IN_GUEST: 20})


@pytest.mark.claim("races.shapes")
def test_thread_that_migrates(race: Race, kick_budget: Budget, require_no_loss: Judge) -> None:
    """The vCPU's thread is moved to the other processor and back every eight kicks."""
    if race.slot.vcpu == race.slot.kicker:
        pytest.skip(reason("no_second_cpu"))
    plan = Plan(Protocol.HANDLER_WRITES, kick_budget.part(0.02), migrate=True)
    require_no_loss(race, race.run(plan))


@pytest.mark.claim("races.shapes")
def test_byte_on_another_processor(ready: Guest, slot: Slot) -> None:
    """Kicks seldom come just when the thread has moved: here each run follows a move."""
    if slot.vcpu == slot.kicker:
        pytest.skip(reason("no_second_cpu"))
    allowed = os.sched_getaffinity(0)
    ready.vcpu.immediate_exit = 1
    try:
        for number in range(MOVES):
            os.sched_setaffinity(0, {slot.kicker if number % 2 else slot.vcpu})
            result = ready.vcpu.run_raw(progress_forbidden=True)
            require_eintr(result, "On a run after its thread was moved, with immediate_exit=1")
    finally:
        os.sched_setaffinity(0, allowed)
    ready.vcpu.immediate_exit = 0


@pytest.mark.claim("races.shapes")
def test_process_that_stops(
    race: Race,
    kick_budget: Budget,
    require_no_loss: Judge,
    record_property: Callable[[str, object], None],
) -> None:
    """SIGSTOP and SIGCONT end KVM_RUN too, with EINTR and without a kick: counted, and legal."""
    plan = Plan(
        Protocol.HANDLER_WRITES,
        kick_budget.part(0.2),
        delays=Delays(0, 20_000, 0),
        enough_losses=ENOUGH_LOSSES,
    )
    stops = 0
    with RaceProcess(plan, race.slot, race.guest.mode) as apart:
        apart.wait_for_begin()
        while apart.wait_for_processor_time(2) and apart.stop_and_continue():
            stops += 1
        found = apart.summary()
    record_property("stops", stops)
    record_property("spurious", found.spurious)
    require_no_loss(race, [found], {**ENTERED, Landing.IN_GUEST: 20})
    if not stops:
        raise InconclusiveError("inconclusive: the race was over before its process was stopped")
