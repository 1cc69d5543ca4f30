# SPDX-License-Identifier: GPL-2.0-only
"""The TSC-deadline timer of the local APIC, saved and restored."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator

import pytest

from guest_blobs import memory_map as at
from harness.host.features import reason
from harness.kvm.arch.x86_64 import ioctls, state
from harness.kvm.guest import Guest
from harness.kvm.running import Running
from harness.kvm.signals import Blocked, CountingHandler, ThreadTimer
from harness.require import require_eintr, require_stopped
from harness.ways import WayOut
from suites.dimensions import (
    KICK,
    every_guest_mode,
    every_way,
    irqchip_in_kernel,
    only_on,
    pin_guest_program,
)
from suites.interrupts import require_ticks

pytestmark = [
    pytest.mark.usefixtures("capability"),
    only_on("x86_64"),
    pin_guest_program("deadline"),
]

PERIOD = 0  # the program's data word: cycles from the arming to the deadline, 32 bits
FAR = 0xFFFF_FFFF
NEAR_MS = 10
BEHIND_NS = 1_000_000  # the host's timer that KVM arms for the deadline
PAUSES = 5  # one before each of the four steps of a save and restore, one behind the last
REPEATS = 20
ARMED = 2  # the program's phase
PAST = 1  # a deadline that is over

order = pytest.mark.parametrize("order", ["lapic_first", "deadline_first"])


@pytest.fixture
def timed(loaded: Guest) -> Guest:
    """A guest with a local APIC and a TSC-deadline timer."""
    if not loaded.vm.check_extension("KVM_CAP_TSC_DEADLINE_TIMER"):
        pytest.skip(reason("no_tsc_deadline"))
    ioctls.offer_tsc_deadline(loaded.vcpu)
    return loaded


def halt_with_timer_armed(guest: Guest) -> None:
    """Prepares: the guest has armed its timer, far ahead, and KVM_RUN was left by signals.

    A guest that is halted already is woken by a deadline that is over, and arms its timer anew:
    the phase is reset, for it would say at once that this has happened.
    """
    guest.set_data(PERIOD, FAR)
    guest.ram.write32(at.PHASE, 0)
    ioctls.set_msr(guest.vcpu, ioctls.TSC_DEADLINE, PAST)
    with CountingHandler(KICK), Running(guest) as running:
        running.wait_until(lambda: guest.phase == ARMED, "the timer's arming")
        running.stop_by(KICK)


def immediate(guest: Guest) -> None:
    """An immediate run between two steps of a save or restore."""
    require_eintr(guest.run_immediate(), "Between the steps of a save or restore")


def save_and_restore(
    guest: Guest, order: str, pause: Callable[[int], None] = lambda number: None
) -> int:
    """The local APIC and the deadline, read in one of both orders; the deadline that was read.

    They are written in the one order that works: the timer's mode is the local APIC's. There is a
    pause, and an immediate run after it, before each of the four steps and behind the last one.
    """
    vcpu = guest.vcpu
    lapic, deadline = None, 0
    reads = (
        ("get_lapic", "get_deadline") if order == "lapic_first" else ("get_deadline", "get_lapic")
    )
    for number, step in enumerate((*reads, "set_lapic", "set_deadline", "")):
        pause(number)
        immediate(guest)
        if step == "get_lapic":
            lapic = ioctls.get_lapic(vcpu)
        elif step == "get_deadline":
            deadline = deadline_of(guest)
        elif step == "set_lapic":
            ioctls.set_lapic(vcpu, lapic)
        elif step == "set_deadline":
            ioctls.set_msr(vcpu, ioctls.TSC_DEADLINE, deadline)
    return deadline


def require_fires(guest: Guest, circumstance: str) -> None:
    """The next normal run wakes from its halt by the timer."""
    ticks = guest.ticks
    with CountingHandler(KICK), Running(guest) as running:
        running.wait_until(lambda: guest.ticks > ticks, f"the guest's timer {circumstance}")
        running.stop_by(KICK)


def expires_in_pause(guest: Guest, order: str, pause: int, cycles: int) -> bool:
    """The timer expires in this pause of a save and restore; whether it did so not before it."""
    halt_with_timer_armed(guest)
    deadline = guest_clock(guest) + cycles
    ioctls.set_msr(guest.vcpu, ioctls.TSC_DEADLINE, deadline)
    armed_ns = cycles * 1_000_000 // ioctls.tsc_khz(guest.vcpu)
    in_time = False

    def wait(number: int) -> None:
        nonlocal in_time
        if number == pause:
            in_time = deadline_of(guest) != 0 and guest_clock(guest) < deadline
            wait_for_a_timer_behind(armed_ns)

    save_and_restore(guest, order, wait)
    circumstance = f"that expired in pause {pause} of a save and restore"
    require_kept(guest, circumstance)
    require_fires(guest, circumstance)
    return in_time


def wait_for_a_timer_behind(armed_ns: int) -> None:
    """Until a timer of this thread has fired that is due behind the one that KVM has armed.

    KVM shows nothing of its own. But both go by one clock and stand in the queue of one processor,
    which serves what is over in one interrupt: behind this thread's signal KVM's timer has fired,
    on a host that was starved meanwhile too.
    """
    with Blocked(KICK), ThreadTimer(KICK, threading.get_native_id(), armed_ns + BEHIND_NS):
        signal.sigwait({KICK})


def require_kept(guest: Guest, circumstance: str) -> None:
    """The deadline, or in its place the interrupt: KVM has no other state that can be restored.

    The interrupt waits in the local APIC, or a signal met it on its way into the guest.

    A tick alone is no proof of it: an emulated processor may take an earlier one's interrupt again.
    """
    deadline = deadline_of(guest)  # first: it goes when the interrupt is there
    waiting = state.vectors(ioctls.get_lapic(guest.vcpu), state.IRR)
    on_its_way = ioctls.get_events(guest.vcpu).interrupt.injected
    assert deadline or waiting or on_its_way, (
        f"The guest's timer {circumstance} is lost: KVM has neither its deadline (the MSR "
        "IA32_TSC_DEADLINE is 0) nor its interrupt (the local APIC's IRR is empty, and no "
        "interrupt is on its way)"
    )


@contextlib.contextmanager
def one_processor() -> Iterator[None]:
    """This thread, and those that it starts, stay on one processor of theirs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def deadline_of(guest: Guest) -> int:
    """The guest's IA32_TSC_DEADLINE: 0 when it is not armed."""
    return ioctls.get_msr(guest.vcpu, ioctls.TSC_DEADLINE)


def guest_clock(guest: Guest) -> int:
    """The guest's TSC."""
    return ioctls.get_msr(guest.vcpu, ioctls.TSC)


@pytest.mark.claim("states.timer_survives")
@every_guest_mode
@irqchip_in_kernel
@order
def test_expires_meanwhile(timed: Guest, order: str) -> None:
    """Saved and restored, and the timer expires in each pause between the steps, in turn.

    Only in one of them did KVM lose it before commit e800decd9c0a: with the local APIC read, and
    the deadline not. A slow host gets a later deadline, so that the pause is met.
    """
    with one_processor():
        for pause in range(PAUSES):
            cycles = NEAR_MS * ioctls.tsc_khz(timed.vcpu)
            while not expires_in_pause(timed, order, pause, cycles):
                cycles *= 2


@pytest.mark.claim("states.timer_survives")
@irqchip_in_kernel
@order
def test_still_armed(timed: Guest, order: str) -> None:
    """A deadline that lies far ahead is kept to the cycle, and the timer still works."""
    halt_with_timer_armed(timed)
    wanted = deadline_of(timed)
    assert wanted == timed.data(1) | timed.data(2) << 32, (
        f"The guest's deadline is {timed.data(1) | timed.data(2) << 32:#x}, KVM says {wanted:#x}"
    )
    for _ in range(REPEATS):
        found = save_and_restore(timed, order)
        assert found == wanted, f"The deadline must stay {wanted:#x}, but it became {found:#x}"
    ioctls.set_msr(timed.vcpu, ioctls.TSC_DEADLINE, PAST)
    immediate(timed)
    circumstance = "that was set to a time in the past, after immediate runs,"
    require_kept(timed, circumstance)
    require_fires(timed, circumstance)


@pytest.mark.claim("states.timer_survives")
@irqchip_in_kernel
@every_way
def test_over_before_the_run(timed: Guest, way: WayOut) -> None:
    """A deadline that is over outside of KVM_RUN is only noted (lapic_timer.pending): vcpu_run()
    makes it an interrupt, also where a signal then ends it. One tick comes of it."""
    for times in (1, REPEATS):
        halt_with_timer_armed(timed)
        ticks = timed.ticks
        ioctls.set_msr(timed.vcpu, ioctls.TSC_DEADLINE, PAST)
        for _ in range(times):
            require_stopped(timed, "With a deadline that is over", way)
        circumstance = f"whose deadline was over before {times} runs{way.said}"
        require_kept(timed, circumstance)
        require_fires(timed, circumstance)
        require_ticks(
            timed, ticks + 1, f"Of a deadline that was over before {times} runs{way.said}"
        )
