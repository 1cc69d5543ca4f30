# SPDX-License-Identifier: GPL-2.0-only
"""An interrupt that is pending while KVM_RUN is called with the byte set."""

from __future__ import annotations

import pytest

from harness.kvm.guest import Guest
from harness.kvm.running import Running, warm_up
from harness.require import require_immediate, require_left, require_untouched
from suites.dimensions import every_guest_mode, every_irqchip, pin_guest_program
from suites.interrupts import require_ticks

pytestmark = [pytest.mark.usefixtures("capability"), pin_guest_program("events")]

REPEATS = 20


@pytest.mark.claim("states.events_survive")
@every_guest_mode
@every_irqchip
@pytest.mark.keeps("irqchip")
def test_interrupt(loaded: Guest) -> None:
    """Made pending by the host, not lost to immediate runs, and taken once by the next run."""
    loaded.set_data(0, int(loaded.vm.irqchip != "none"))
    warm_up(loaded)
    loaded.architecture.deliver_interrupt(loaded.vm, loaded.vcpu)
    for _ in range(REPEATS):
        require_immediate(loaded, "With an interrupt pending")
    require_untouched(loaded, "With an interrupt pending", times=REPEATS)
    assert loaded.ticks == 0, "An immediate run delivered the pending interrupt"
    with Running(loaded) as running:
        running.wait_until(lambda: loaded.ticks > 0, "the guest to take the pending interrupt")
        running.wait_for_progress()
        loaded.stop()
        result = running.outcome()
    require_left(result, "After the interrupt")
    require_ticks(loaded, 1, "After immediate runs with an interrupt pending")
