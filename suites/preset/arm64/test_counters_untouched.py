# SPDX-License-Identifier: GPL-2.0-only
"""Runs that end before the guest move none of its counters, and lose no timer."""

from __future__ import annotations

import pytest

from harness.kvm.arch.aarch64 import clocks, gic
from harness.kvm.guest import Guest, create
from harness.kvm.running import Running, warm_up
from harness.kvm.system import System
from harness.require import require_ended, require_left
from harness.ways import WayOut
from suites.dimensions import every_irqchip, every_way, only_on, pin_guest_program, pin_irqchip
from suites.interrupts import require_ticks

pytestmark = [pytest.mark.usefixtures("capability"), only_on("aarch64")]

# One, for a defect that toggles cancels out over an even number; and as many as show a slow one.
TIMES = (1, 20)
FAR, NEAR = 1 << 40, 1 << 16  # ticks: minutes at least, and a few milliseconds at most
WITH_GIC = 0, 1  # the program's data[0]


def ended(guest: Guest, way: WayOut, times: int, circumstance: str) -> None:
    """Runs that end by this way, of which no other claim is the subject."""
    require_ended(way.run_many(guest.vcpu, times), way, circumstance)


@pytest.mark.claim("preset.time_untouched")
@every_irqchip
@every_way
@pytest.mark.parametrize("counter", clocks.COUNTERS)
def test_counter(kvm: System, ready: Guest, way: WayOut, counter: str) -> None:
    """Their offsets are the VM's, and set before the first run or by KVM_ARM_SET_COUNTER_OFFSET."""
    with create(kvm, ready.vm.irqchip) as beside:
        beside.load("heartbeat", ready.mode)
        before = clocks.ahead(ready.vcpu, beside.vcpu, counter)
        for times in TIMES:
            ended(ready, way, times, f"In {times} runs")
            after = clocks.ahead(ready.vcpu, beside.vcpu, counter)
            assert max(before.start, after.start) < min(before.stop, after.stop), (
                f"After {times} runs{way.said} the guest's {counter} must be as far ahead of "
                f"another VM's as before, {before.start} to {before.stop - 1} ticks, but it is "
                f"{after.start} to {after.stop - 1} ahead"
            )


@pytest.fixture
def timed(loaded: Guest) -> Guest:
    """A guest that takes the interrupts of its virtual timer, and was stopped."""
    loaded.set_data(*WITH_GIC)
    gic.enable_virtual_timer(loaded.vm)
    warm_up(loaded)
    return loaded


def require_taken_once(guest: Guest, circumstance: str) -> None:
    """The timer's interrupt comes in the next normal run, once."""
    with Running(guest) as running:
        running.wait_until(lambda: guest.ticks > 0, f"the timer's interrupt {circumstance}")
        running.wait_for_progress()
        guest.stop()
        result = running.outcome()
    require_left(result, circumstance.capitalize())
    require_ticks(guest, 1, circumstance.capitalize())


@pytest.mark.claim("preset.time_untouched")
@pin_irqchip("gic")
@pin_guest_program("events")
@every_way
def test_timer_stays_armed(timed: Guest, way: WayOut) -> None:
    """A deadline that is far away is neither moved nor dropped."""
    armed = True, clocks.start_timer(timed.vcpu, FAR)
    for times in TIMES:
        ended(timed, way, times, "With the virtual timer armed")
        found = clocks.timer(timed.vcpu)
        assert found == armed, (
            f"After {times} runs{way.said} the virtual timer must be armed as before, {armed}, "
            f"but it is {found}"
        )
    clocks.start_timer(timed.vcpu, NEAR)
    require_taken_once(timed, f"after runs{way.said} and a new deadline")


@pytest.mark.claim("preset.time_untouched")
@pin_irqchip("gic")
@pin_guest_program("events")
@every_way
def test_timer_that_is_over(timed: Guest, way: WayOut) -> None:
    """A deadline that passes while such runs are made is kept for the next run of the guest."""
    clocks.start_timer(timed.vcpu, NEAR)
    runs = 0
    while not clocks.is_over(timed.vcpu) or runs < max(TIMES):
        ended(timed, way, 1, "With the virtual timer armed")
        runs += 1
    assert timed.ticks == 0, f"Runs{way.said} delivered the timer's interrupt"
    require_taken_once(timed, f"after runs{way.said} during which the timer's deadline passed")
