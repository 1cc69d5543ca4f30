# SPDX-License-Identifier: GPL-2.0-only
"""Many kicks, at every moment of a round: none may be lost."""

from __future__ import annotations

import pytest

from harness.kick.budget import Budget
from harness.kick.plan import Delays, Delivery, Landing, Plan, Protocol
from harness.kick.race import Race, schedules
from suites.races.conftest import Judge

pytestmark = pytest.mark.usefixtures("capability")


def pin_delivery(*deliveries: Delivery) -> pytest.MarkDecorator:
    """The test runs once with each of these."""
    return pytest.mark.parametrize("delivery", deliveries, ids=[d.value for d in deliveries])


KICKERS = (Delivery.THREAD, Delivery.PROCESS, Delivery.QUEUE)
DELIVERIES = (*KICKERS, Delivery.TIMER)


def minima(kicks: int, delivery: Delivery) -> dict[Landing, int]:
    """What must land where, of so many kicks. The wide window's share lands in it by halves."""
    guest = 500 if delivery is Delivery.TIMER else 100
    return {
        Landing.IN_WINDOW: kicks // 400,
        Landing.IN_ENTRY: kicks // 50,
        Landing.IN_GUEST: kicks // guest,
    }


@pytest.mark.claim("races.handler_writes")
@pin_delivery(*DELIVERIES)
def test_handler_sets_the_byte(
    race: Race, kick_budget: Budget, delivery: Delivery, require_no_loss: Judge
) -> None:
    """ "userspace can set up a signal handler that sets run->immediate_exit": QEMU, crosvm."""
    kicks = kick_budget.part(1 / len(DELIVERIES))
    races = race.run(*schedules(Protocol.HANDLER_WRITES, delivery, kicks))
    require_no_loss(race, races, minima(kicks, delivery))


@pytest.mark.claim("races.kicker_writes")
@pin_delivery(*KICKERS)
def test_kicker_sets_the_byte(
    race: Race, kick_budget: Budget, delivery: Delivery, require_no_loss: Judge
) -> None:
    """The byte first, then the signal; a full fence behind the vCPU's clear: Firecracker."""
    kicks = kick_budget.part(1 / len(KICKERS)) + 1
    races = race.run(*schedules(Protocol.KICKER_WRITES, delivery, kicks))
    require_no_loss(race, races, minima(kicks, delivery))


@pytest.mark.claim("races.signal_mask")
@pin_delivery(*DELIVERIES)
def test_signal_let_in_by_the_mask(
    race: Race, kick_budget: Budget, delivery: Delivery, require_no_loss: Judge
) -> None:
    """Blocked outside, open inside of KVM_RUN: a signal that comes before it stays pending."""
    kicks = kick_budget.part(1 / len(DELIVERIES))
    races = race.run(*schedules(Protocol.SIGNAL_MASK, delivery, kicks))
    require_no_loss(race, races, minima(kicks, delivery))


@pytest.mark.claim("races.late")
@pytest.mark.parametrize(
    "protocol",
    [Protocol.HANDLER_WRITES, Protocol.KICKER_WRITES, Protocol.SIGNAL_MASK],
    ids=lambda protocol: protocol.value,
)
def test_answered_before_the_entry(
    race: Race, kick_budget: Budget, protocol: Protocol, require_no_loss: Judge
) -> None:
    """A kick that comes before the entry is seen by a check, and waits for no host tick.

    xfer_to_guest_mode_work_pending() with interrupts off: the last look before the guest runs.
    """
    kicks = kick_budget.part(0.15)
    races = race.run(Plan(protocol, kicks, delays=Delays(0, 15_000, 10), window_ns=0))
    least = {Landing.IN_ENTRY: kicks // 10, Landing.IN_GUEST: kicks // 100}
    require_no_loss(race, races, least)
