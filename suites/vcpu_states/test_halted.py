# SPDX-License-Identifier: GPL-2.0-only
"""A vCPU that is halted in the kernel: its thread polls for a while, then sleeps."""

from __future__ import annotations

import pytest

from harness.host.features import reason
from harness.kvm.guest import Guest
from harness.kvm.running import Running
from harness.kvm.signals import CountingHandler
from harness.require import (
    require_immediate,
    require_no_progress,
    require_signal_exit,
    require_untouched,
)
from harness.ways import WayOut
from suites.dimensions import (
    KICK,
    every_guest_mode,
    every_irqchip_that_halts,
    every_way,
    pin_guest_program,
)
from suites.interrupts import require_ticks

pytestmark = [pytest.mark.usefixtures("capability"), pin_guest_program("halt")]

WITH_IRQCHIP = 0, 1  # the program's data[0]: interrupts end at the controller in the kernel
REPEATS = 20
LONGEST_POLL_NS = 2_000_000_000
DOUBLINGS = 13  # a poll lasts 10 us at first and doubles with each halt that outlasts it: 40 ms
ROUNDS = 100

halt_polling = pytest.mark.parametrize("poll", ["no_polling", "default_polling"])


@pytest.fixture
def halting(loaded: Guest) -> Guest:
    """The program halts as soon as it runs."""
    loaded.set_data(*WITH_IRQCHIP)
    return loaded


def wait_for_halt(guest: Guest, running: Running) -> None:
    """Returns once the guest has halted and its thread sleeps."""
    running.wait_until(lambda: guest.phase == 1, "the guest to halt")
    running.wait_for_sleep()


def wake(guest: Guest, running: Running) -> None:
    """An interrupt wakes the guest for one turn, and it halts again. The thread sleeps then."""
    ticks, turns = guest.ticks, guest.heartbeat
    guest.architecture.deliver_interrupt(guest.vm, guest.vcpu)
    running.wait_until(
        lambda: guest.ticks > ticks and guest.heartbeat == turns + 1,
        "the interrupt to wake the halted guest",
    )
    running.wait_for_sleep()


def halt_by_kick(guest: Guest) -> None:
    """Prepares: the guest has halted, and KVM_RUN was left by signals."""
    with CountingHandler(KICK), Running(guest) as running:
        wait_for_halt(guest, running)
        running.stop_by(KICK)
    require_halted(guest, "After KVM_RUN of a halted vCPU was left")


def require_halted(guest: Guest, circumstance: str) -> None:
    """KVM still says that it is halted, where it says so at all."""
    assert guest.architecture.halted(guest.vcpu) is not False, (
        f"{circumstance}, the vCPU must still be halted, but its MP state says that it is not"
    )


def require_woken_by_interrupt_only(guest: Guest, circumstance: str) -> None:
    """The next run sleeps on without a turn; one interrupt then gives exactly one turn."""
    turns = guest.heartbeat
    with CountingHandler(KICK), Running(guest) as running:
        wait_for_halt(guest, running)
        assert guest.heartbeat == turns, (
            f"{circumstance}, the vCPU must sleep on in its halt, but it went from turn {turns} "
            f"to turn {guest.heartbeat} of its loop without an interrupt"
        )
        wake(guest, running)
        running.stop_by(KICK)
    require_ticks(guest, 1, circumstance)


@pytest.mark.claim("states.halted")
@every_irqchip_that_halts
@halt_polling
def test_kick_asleep(halting: Guest, poll: str) -> None:
    """A signal ends the sleep with EINTR and not the halt: kvm_vcpu_check_block() sees it."""
    if poll == "no_polling" and not halting.vm.set_halt_poll(0):
        pytest.skip(reason("no_halt_polling"))
    with CountingHandler(KICK), Running(halting) as running:
        wait_for_halt(halting, running)
        running.kick(KICK)
        result = running.outcome()
    require_signal_exit(result, "On a kick while the vCPU sleeps in its halt")
    require_halted(halting, "After a kick while it slept")
    require_woken_by_interrupt_only(halting, "After a kick while it slept")


@pytest.mark.claim("states.halted")
@every_irqchip_that_halts
def test_kick_while_polling(halting: Guest) -> None:
    """The same while the thread does not sleep yet, but looks for an interrupt in a loop.

    KVM polls the longer the more often a halt outlasted the poll, so the guest first sleeps some
    times. Each round is judged; they end with the first kick that KVM's statistics place in a
    poll, for a busy host cuts polls short.
    """
    if not halting.vm.set_halt_poll(LONGEST_POLL_NS):
        pytest.skip(reason("no_halt_polling"))
    if halting.statistic("halts") is None or halting.statistic("halt_wait_ns") is None:
        pytest.skip(reason("no_stats", "they say when the guest halts"))
    if not any(kicked_in_poll(halting, sleeps) for sleeps in (DOUBLINGS, *[0] * ROUNDS)):
        pytest.skip(reason("busy_host", f"no poll lasted, in {ROUNDS} halts"))


def kicked_in_poll(guest: Guest, sleeps: int) -> bool:
    """After some sleeps, one kick as soon as the guest has halted; whether KVM polled then."""
    with CountingHandler(KICK), Running(guest) as running:
        wait_for_halt(guest, running)
        for _ in range(sleeps):
            wake(guest, running)
        halts, turns = guest.statistic("halts"), guest.heartbeat
        guest.architecture.deliver_interrupt(guest.vm, guest.vcpu)
        running.wait_until(
            lambda: guest.heartbeat == turns + 1 and guest.statistic("halts") != halts,
            "the guest to halt again",
        )
        polls, slept = guest.statistic("halt_attempted_poll"), guest.statistic("halt_wait_ns")
        running.kick(KICK)
        result = running.outcome()
    require_signal_exit(result, "On a kick while the vCPU polls in its halt")
    require_halted(guest, "After a kick while it polled")
    assert guest.heartbeat == turns + 1, "A kick while the vCPU polled woke the guest"
    return guest.statistic("halt_attempted_poll") != polls and (
        guest.statistic("halt_wait_ns") == slept
    )


@pytest.mark.claim("states.halted")
@every_irqchip_that_halts
@every_guest_mode
@every_way
def test_ended_while_halted(halting: Guest, way: WayOut) -> None:
    """By the byte and by a signal at entry: EINTR at once, each time, and still halted."""
    halt_by_kick(halting)
    require_untouched(halting, "On a halted vCPU", way, REPEATS)
    require_halted(halting, f"After runs{way.said}")
    require_woken_by_interrupt_only(halting, f"After runs{way.said}")


@pytest.mark.claim("states.halted")
@every_irqchip_that_halts
def test_immediate_with_interrupt_pending(halting: Guest) -> None:
    """The interrupt that would wake it is pending: still EINTR and nothing runs, then it wakes."""
    halt_by_kick(halting)
    halting.architecture.deliver_interrupt(halting.vm, halting.vcpu)
    before = halting.witness()
    for _ in range(REPEATS):
        require_immediate(halting, "On a halted vCPU with an interrupt pending")
    require_untouched(halting, "On a halted vCPU with an interrupt pending", times=REPEATS)
    require_no_progress(before, halting.witness(), "In immediate runs of a halted vCPU")
    with CountingHandler(KICK), Running(halting) as running:
        running.wait_until(
            lambda: halting.ticks > 0 and halting.heartbeat == before.heartbeat + 1,
            "the pending interrupt to wake the guest",
        )
        running.wait_for_sleep()
        running.stop_by(KICK)
    require_ticks(halting, 1, "After immediate runs with an interrupt pending")
