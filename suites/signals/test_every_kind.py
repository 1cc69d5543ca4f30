# SPDX-License-Identifier: GPL-2.0-only
"""Every kind of signal: however it is sent, whatever its number, wherever the vCPU is."""

from __future__ import annotations

import signal

import pytest

from harness.host import pace
from harness.host.features import reason
from harness.kvm.guest import Guest
from harness.kvm.guest_process import DEAF, GuestProcess
from harness.kvm.kicked_here import Ready, until_asleep, until_progress
from harness.kvm.raw_mask import NUMBERS, BlockedAll
from harness.kvm.running import Running
from harness.kvm.signals import CountingHandler
from harness.require import require_left, require_runs_on
from harness.undisturbed import first_undisturbed
from suites.dimensions import KICK, every_irqchip_that_halts, pin_guest_program
from suites.signals.kinds import require_each_kind_ends
from suites.signals.masks import require_keeps_out, require_lets_in

WITH_IRQCHIP = 0, 1  # the data word of the program halt: interrupts end at the controller
PATIENCE_S = pace.here().patience(10.0)
LONGEST_POLL_NS = 2_000_000_000
DOUBLINGS = 10  # a poll lasts 10 us at first and doubles with each halt that outlasts it: 10 ms


@pytest.mark.claim("signals.every_kind")
def test_kinds_while_it_runs(ready: Guest) -> None:
    """api.rst 4.10, KVM_RUN: "EINTR  an unmasked signal is pending", of whatever kind."""
    require_each_kind_ends(ready, lambda: until_progress(ready), "while the guest runs")
    require_runs_on(ready, "After a signal of each kind")


@pytest.fixture
def halting(loaded: Guest) -> Guest:
    """The program halts as soon as it runs."""
    loaded.set_data(*WITH_IRQCHIP)
    return loaded


@pytest.mark.claim("signals.every_kind")
@pin_guest_program("halt")
@every_irqchip_that_halts
def test_kinds_while_it_is_halted(halting: Guest) -> None:
    """The same for a vCPU that sleeps in its halt: kvm_vcpu_check_block()."""
    require_each_kind_ends(halting, lambda: until_asleep(halting), "while the vCPU is halted")


@pytest.mark.claim("signals.every_kind")
@pin_guest_program("halt")
@every_irqchip_that_halts
def test_kinds_while_it_polls(halting: Guest) -> None:
    """The same just after the halt, when KVM polls for an interrupt: kvm_vcpu_halt().

    KVM polls the longer the more often a halt outlasted the poll, so the guest first sleeps some
    times. A busy host cuts polls short: the kick then comes to a vCPU that sleeps.
    """
    if not halting.vm.set_halt_poll(LONGEST_POLL_NS):
        pytest.skip(reason("no_halt_polling"))
    lengthen_polls(halting)

    def halt_again() -> Ready:
        halting.architecture.deliver_interrupt(halting.vm, halting.vcpu)
        return until_progress(halting, turns=1)

    require_each_kind_ends(halting, halt_again, "while KVM polls for a halted vCPU")


def lengthen_polls(guest: Guest) -> None:
    """Prepares: the guest is woken some times, and sleeps after each."""
    with CountingHandler(KICK), Running(guest) as running:
        for _ in range(DOUBLINGS):
            running.wait_for_sleep()
            turns = guest.heartbeat
            guest.architecture.deliver_interrupt(guest.vm, guest.vcpu)
            running.wait_until(lambda since=turns: guest.heartbeat > since, "the guest to wake")
        running.stop_by(KICK)


@pytest.mark.claim("signals.every_kind")
def test_mask_without_one_number(ready: Guest) -> None:
    """api.rst 4.21: "Any unblocked signal received ... will cause KVM_RUN to return with -EINTR",
    whatever its number, where the mask blocks all others."""
    with BlockedAll() as blocked:
        for number in NUMBERS:
            ready.vcpu.set_signal_mask(set(NUMBERS) - {number})
            require_lets_in(ready, blocked, number, "that alone KVM_RUN's mask lets in")
    ready.clear_stop()
    ready.vcpu.set_signal_mask(None)
    require_runs_on(ready, "After signals of each number")


@pytest.mark.claim("signals.every_kind")
def test_mask_of_one_number(ready: Guest) -> None:
    """The same mask blocks what it names, whatever its number, and lets the others in."""
    with BlockedAll() as blocked:
        for number in NUMBERS:
            ready.vcpu.set_signal_mask({number})
            require_keeps_out(ready, blocked, number, "that alone KVM_RUN's mask blocks")


@pytest.mark.claim("signals.every_kind")
def test_empty_mask(ready: Guest) -> None:
    """A mask without a signal lets each of them in."""
    ready.vcpu.set_signal_mask(())
    with BlockedAll() as blocked:
        for number in NUMBERS:
            require_lets_in(ready, blocked, number, "and an empty mask")


@pytest.mark.claim("signals.every_kind")
def test_full_mask(ready: Guest) -> None:
    """A mask of all signals lets none in: the run ends by the guest's exit, with each pending."""
    ready.vcpu.set_signal_mask(range(1, 65))
    with BlockedAll() as blocked:
        for number in NUMBERS:
            require_keeps_out(ready, blocked, number, "and a full mask")
        for number in NUMBERS:
            blocked.send(number)
        result = first_undisturbed(lambda: ready.vcpu.run_raw(goes_on=False))
        blocked.take_all()
    require_left(result, "With every signal pending and a full mask, and the stop word")


@pytest.mark.claim("signals.every_kind")
def test_no_mask_keeps_out_a_stop_or_a_kill(loaded: Guest, guest_mode: str) -> None:
    """sigprocmask(2): "It is not possible to block SIGKILL or SIGSTOP", not by KVM_RUN's mask
    either: kvm_vcpu_ioctl_set_sigmask() takes them out of it.

    Both are sent to the vCPU's thread, for another one would take them in its place.
    """
    with GuestProcess(guest_mode, kind=DEAF) as apart:
        answer = apart.ask("progress")
        assert not answer.outcome, f"Before SIGSTOP, {answer.outcome}"
        apart.signal_thread(answer.thread, signal.SIGSTOP)
        assert apart.stops(PATIENCE_S), said_of_the_deaf("SIGSTOP", "stop")
        apart.go_on()
        answer = apart.ask("progress")
        assert not answer.outcome, f"After SIGSTOP and SIGCONT, {answer.outcome}"
        apart.signal_thread(answer.thread, signal.SIGKILL)
        assert apart.killed(PATIENCE_S), said_of_the_deaf("SIGKILL", "end")


def said_of_the_deaf(name: str, what: str) -> str:
    """That a signal did not reach a vCPU's thread."""
    return (
        f"On {name} to a vCPU's thread whose mask of KVM_SET_SIGNAL_MASK names every signal, the "
        f"process must {what}, but did not within {PATIENCE_S:.0f} s, in which its guest ran on"
    )
