# SPDX-License-Identifier: GPL-2.0-only
"""Runs that end before the guest move nothing that it tells time by."""

from __future__ import annotations

import pytest

from harness.host.features import reason
from harness.host.pace import here
from harness.kvm.arch.x86_64 import clocks, ioctls
from harness.kvm.guest import Guest
from harness.kvm.running import Running, warm_up
from harness.kvm.signals import CountingHandler
from harness.kvm.speech import Word
from harness.require import require_ended, require_said
from harness.ways import BYTE, WayOut
from suites.dimensions import (
    KICK,
    every_irqchip,
    every_way,
    irqchip_in_kernel,
    only_on,
    pin_guest_program,
)
from suites.interrupts import require_ticks

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64")]

VECTOR = ioctls.INTERRUPT_VECTOR
FAR_NS, NEAR_NS = 200_000_000_000, 5_000_000

# One, for a defect that toggles cancels out over an even number; and as many as show a slow one.
TIMES = (1, 20)
timers = pytest.mark.parametrize("timer", ["one_shot", "deadline"])


def ended(guest: Guest, way: WayOut, times: int, circumstance: str) -> None:
    """Runs that end by this way, of which no other claim is the subject."""
    require_ended(way.run_many(guest.vcpu, times), way, circumstance)


def start(guest: Guest, timer: str, nanoseconds: int) -> None:
    """The local APIC's timer, in one of its modes."""
    if timer == "one_shot":
        clocks.start_timer(guest.vcpu, nanoseconds, VECTOR)
    else:
        clocks.start_deadline(guest.vcpu, nanoseconds, VECTOR)


@pytest.fixture
def ticking(loaded: Guest, timer: str) -> Guest:
    """A guest that takes the interrupts of its timer, and was stopped."""
    if timer == "deadline":
        if not loaded.vm.check_extension("KVM_CAP_TSC_DEADLINE_TIMER"):
            pytest.skip(reason("no_tsc_deadline"))
        ioctls.offer_tsc_deadline(loaded.vcpu)
    loaded.set_data(0, 1)
    warm_up(loaded)
    return loaded


def require_same_clocks(guest: Guest, way: WayOut, what: str) -> None:
    """Each clock is after the runs what it was before, but for the time between."""
    steady = clocks.undisturbed(guest.vcpu, guest.vm)
    for times in TIMES:
        circumstance = f"In {times} runs {what}"
        ended(guest, way, times, circumstance)
        found = steady.differences(clocks.clocks(guest.vcpu, guest.vm))
        assert not found, (
            f"{circumstance}{way.said}, no clock of the guest may move, but {'; '.join(found)}"
        )


@pytest.mark.claim("preset.time_untouched")
@every_irqchip
@pytest.mark.keeps("irqchip")
@every_way
def test_clocks_before_first_run(loaded: Guest, way: WayOut) -> None:
    """The TSC, its offset and adjustment, and the VM's clock."""
    require_same_clocks(loaded, way, "before the first run of the guest")


@pytest.mark.claim("preset.time_untouched")
@irqchip_in_kernel
@pin_guest_program("events")
@timers
@every_way
def test_clocks_with_a_timer(ticking: Guest, timer: str, way: WayOut) -> None:
    """The same and the timer, which is far from its end: it is kept, and does not fire."""
    start(ticking, timer, FAR_NS)
    what = f"with a timer far ahead ({timer})"
    require_same_clocks(ticking, way, what)
    with Running(ticking) as running:
        running.wait_for_progress()
        ticking.stop()
    assert not ticking.ticks, (
        f"After runs {what}{way.said}, the guest must take no interrupt of it, but it took "
        f"{ticking.ticks}"
    )


@pytest.mark.claim("preset.time_untouched")
@irqchip_in_kernel
@pin_guest_program("events")
@timers
@every_way
def test_timer_fires_once(ticking: Guest, timer: str, way: WayOut) -> None:
    """A timer that ends after such runs fires in the next normal run, and not again."""
    for number, times in enumerate(TIMES, start=1):
        start(ticking, timer, here().choose(NEAR_NS, 10 * NEAR_NS))
        circumstance = f"After {times} runs with a timer that goes ({timer})"
        ended(ticking, way, times, circumstance)
        with CountingHandler(KICK), Running(ticking) as running:
            running.wait_until(
                lambda number=number: ticking.ticks >= number,
                f"the guest's timer ({timer}) to fire",
            )
            running.wait_for_progress()
            running.stop_by(KICK)
        require_ticks(ticking, number, circumstance + way.said)


def reads(guest: Guest) -> tuple[int, int, int]:
    """What the guest reads of its TSC, between two readings of KVM's."""
    before = ioctls.get_msr(guest.vcpu, ioctls.TSC)
    require_said(guest.vcpu.run_raw(), Word.SYNC, "For a reading of the TSC")
    found = guest.data(1) | guest.data(2) << 32
    return before, found, ioctls.get_msr(guest.vcpu, ioctls.TSC)


@pytest.mark.claim("preset.time_untouched")
@every_irqchip
@pytest.mark.keeps("irqchip")
@pin_guest_program("time_stamp")
@every_way
def test_guest_reads_the_same_time(loaded: Guest, way: WayOut) -> None:
    """The guest's own reading of the TSC lies between what KVM gives before and after it."""
    loaded.set_data(0, 1)
    for _ in range(2):  # no immediate run before both: what it breaks is not to be a reason to skip
        before, found, after = reads(loaded)
        if not before <= found <= after:
            pytest.skip(reason("no_steady_tsc", f"{found:#x} is not {before:#x} to {after:#x}"))
    # The first ends the port access: from there on nothing is left to complete.
    for times in (1, *TIMES):
        circumstance = f"After {times} runs"
        ended(loaded, way, times, circumstance)
        circumstance += way.said
        before, found, after = reads(loaded)
        assert before <= found <= after, (
            f"{circumstance}, the TSC that the guest reads must be the one that KVM tells, but it "
            f"read {found:#x} between {before:#x} and {after:#x}"
        )
        assert not loaded.data(3), f"{circumstance}, the TSC went back {loaded.data(3)} times"


@pytest.mark.claim("preset.time_untouched")
@every_irqchip
@pytest.mark.keeps("irqchip")
def test_pages_of_time(loaded: Guest) -> None:
    """kvmclock's page and that of the stolen time are written on the way into the guest only.

    Which a run that a signal ends is.
    """
    clocks.use_pages(loaded.vcpu)
    warm_up(loaded)
    before = clocks.pages(loaded.ram)
    assert before["kvmclock's version"], (
        "After a run of the guest, the page of kvmclock must be written"
    )
    for times in TIMES:
        circumstance = f"In {times} immediate runs"
        ended(loaded, BYTE, times, circumstance)
        after = clocks.pages(loaded.ram)
        found = [
            f"{name} went from {value} to {after[name]}"
            for name, value in before.items()
            if after[name] != value
        ]
        assert not found, (
            f"{circumstance}, the pages that tell the guest the time must stay, but "
            f"{'; '.join(found)}"
        )
