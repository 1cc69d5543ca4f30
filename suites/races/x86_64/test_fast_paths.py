# SPDX-License-Identifier: GPL-2.0-only
"""Exits that KVM answers with interrupts off, and enters the guest again without a look around."""

from __future__ import annotations

import pytest

from harness.kick.budget import Budget
from harness.kick.plan import Delays, Delivery, Landing, Plan, Protocol
from harness.kick.race import Race
from suites.dimensions import irqchip_in_kernel, only_on, pin_guest_program
from suites.races.conftest import Judge

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64")]


@pytest.mark.claim("races.guests")
@irqchip_in_kernel
@pin_guest_program("deadline_writer", "icr_writer")
def test_writes_registers_of_the_apic(
    race: Race,
    kick_budget: Budget,
    require_no_loss: Judge,
) -> None:
    """TSC deadline and ICR: vcpu_enter_guest() goes round by itself after such a write.

    It must leave that loop for pending work (kvm_vcpu_exit_request(), 5a9f54435a48 and
    d89d04ab6030). A timer's interrupt comes at any instruction of the guest's loop, also where the
    kicker and the vCPU take turns on one processor.
    """
    kicks = kick_budget.part(0.04)
    races = race.run(
        Plan(Protocol.HANDLER_WRITES, kicks, delays=Delays(0, 40_000, 10)),
        Plan(Protocol.KICKER_WRITES, kicks // 20, delays=Delays(0, 60_000, 0), window_ns=100_000),
        Plan(Protocol.HANDLER_WRITES, kicks * 2, Delivery.TIMER, Delays(5_000, 200_000, 0)),
    )
    least = {Landing.IN_WINDOW: kicks // 200, Landing.IN_ENTRY: kicks // 50}
    require_no_loss(race, races, {**least, Landing.IN_GUEST: kicks // 50})
