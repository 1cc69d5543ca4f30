# SPDX-License-Identifier: GPL-2.0-only
"""Signals that reach a vCPU in KVM_RUN, and signals that do not concern it."""

from __future__ import annotations

import errno
import signal
import threading
from collections.abc import Callable

import pytest

from harness.host import pace
from harness.kvm.guest import Guest
from harness.kvm.guest_process import GuestProcess
from harness.kvm.kicked_here import run_disturbed
from harness.kvm.running import KickOnProgress, Running
from harness.kvm.signals import Blocked, CountingHandler, Disposition, send
from harness.require import require_errno, require_left, require_runs_on, require_signal_exit
from harness.undisturbed import Tried, undisturbed
from suites.dimensions import (
    KICK,
    every_guest_mode,
    every_irqchip,
    every_irqchip_that_halts,
    pin_guest_program,
)

# Turns of the guest's loop: it has run on, well after the signals.
ON_AND_ON = 500
PAUSES = 5
PATIENCE_S = pace.here().patience(10.0)


def require_handled_once(handler: CountingHandler, circumstance: str) -> None:
    """The signal was delivered, and once."""
    __tracebackhide__ = True
    count = handler.count()
    assert count == 1, f"{circumstance}, the handler must run once, but it ran {count} times"


@pytest.mark.claim("signals.interrupts_guest")
@every_guest_mode
@every_irqchip
def test_interrupts_first_run(loaded: Guest) -> None:
    """api.rst 4.10, KVM_RUN: "EINTR  an unmasked signal is pending"."""
    with CountingHandler(KICK) as handler, Running(loaded) as running:
        running.wait_for_progress()
        running.kick(KICK)
        result = running.outcome()
    require_signal_exit(result, "On a signal during the first run")
    require_handled_once(handler, "On a signal during the first run")
    require_runs_on(loaded, "After a signal ended the first run")


@pytest.mark.claim("signals.interrupts_guest")
@every_guest_mode
@every_irqchip
def test_interrupts_later_run(ready: Guest) -> None:
    """The same for a guest that was interrupted before."""
    with CountingHandler(KICK) as handler, Running(ready) as running:
        running.wait_for_progress()
        running.kick(KICK)
        result = running.outcome()
    require_signal_exit(result, "On a signal during a later run")
    require_handled_once(handler, "On a signal during a later run")
    require_runs_on(ready, "After a signal ended a later run")


@pytest.mark.claim("signals.interrupts_guest")
@every_irqchip_that_halts
def test_interrupts_halted(guest: Guest, guest_mode: str) -> None:
    """The same for a vCPU that sleeps in the kernel, halted: no guest instruction notices it."""
    guest.load("halt", guest_mode, {0: 1})
    with CountingHandler(KICK) as handler, Running(guest) as running:
        running.wait_until(lambda: guest.phase == 1, "the guest to be about to halt")
        running.wait_for_sleep()
        running.kick(KICK)
        result = running.outcome()
    require_signal_exit(result, "On a signal to a halted vCPU")
    require_handled_once(handler, "On a signal to a halted vCPU")


@pytest.mark.claim("signals.interrupts_guest")
def test_interrupts_on_the_main_thread(ready: Guest) -> None:
    """The process's first thread is no exception."""
    with CountingHandler(KICK) as handler:
        with KickOnProgress(ready, threading.get_native_id(), KICK) as kicker:
            result = ready.vcpu.run_raw()
        assert kicker.sent, "The guest made no progress, so that it was never kicked"
    require_signal_exit(result, "On a signal to the main thread")
    require_handled_once(handler, "On a signal to the main thread")


@pytest.mark.claim("signals.no_restart")
def test_no_restart_spinning(ready: Guest) -> None:
    """Every architecture returns EINTR for a signal, never a code that asks for a restart."""
    with CountingHandler(KICK, restart=True) as handler, Running(ready) as running:
        running.wait_for_progress()
        running.kick(KICK)
        result = running.outcome()
    require_signal_exit(result, "On a signal whose handler has SA_RESTART")
    require_handled_once(handler, "On a signal whose handler has SA_RESTART")


@pytest.mark.claim("signals.no_restart")
@every_irqchip_that_halts
def test_no_restart_halted(guest: Guest, guest_mode: str) -> None:
    """The same where the vCPU sleeps in the kernel, as other restarted system calls do."""
    guest.load("halt", guest_mode, {0: 1})
    with CountingHandler(KICK, restart=True) as handler, Running(guest) as running:
        running.wait_until(lambda: guest.phase == 1, "the guest to be about to halt")
        running.wait_for_sleep()
        running.kick(KICK)
        result = running.outcome()
    require_signal_exit(result, "On a signal with SA_RESTART to a halted vCPU")
    require_handled_once(handler, "On a signal with SA_RESTART to a halted vCPU")


@pytest.mark.claim("signals.ignored_do_not_interrupt")
@pytest.mark.parametrize("name", ["SIGCHLD", "SIGURG", "SIGWINCH"])
def test_ignored_by_default(ready: Guest, name: str) -> None:
    """kernel/signal.c, sig_ignored(): a signal that nobody would see is not even queued."""

    def run(signo: int) -> Tried:
        with Running(ready) as running:
            running.wait_for_progress()
            if signo:
                running.kick(signo)
            running.wait_for_progress(ON_AND_ON)
            ready.stop()
            result = running.outcome()
        require_left(result, f"After {name} at its default, then the stop word")
        ready.clear_stop()
        return Tried(result, result.describe() if result.spurious else "")

    # A signal without a handler that ends a run looks as if nothing had ended it.
    signo = signal.Signals[name]
    with Disposition(signo, ignored=False):
        undisturbed(lambda: run(signo), lambda: run(0), f"On {name} at its default")


def run_that_leaves(guest: Guest, blocked: Blocked) -> None:
    """By the guest's exit."""
    guest.stop()
    require_left(guest.vcpu.run_raw(), "With a mask and the stop word set")


def run_with_signal(guest: Guest, blocked: Blocked) -> None:
    """By a pending signal that the mask lets in."""
    blocked.send(KICK)
    require_signal_exit(guest.vcpu.run_raw(), "With a mask and a signal pending at entry")


def run_refused(guest: Guest, blocked: Blocked) -> None:
    """By an error."""
    require_errno(guest.vcpu.run_raw(argument=1), errno.EINVAL, "With a mask and the argument 1")


@pytest.mark.claim("signals.ignored_do_not_interrupt")
@pytest.mark.parametrize(
    "masked_run",
    [run_that_leaves, run_with_signal, run_refused],
    ids=["after_an_exit", "after_a_signal", "after_an_error"],
)
def test_ignored_after_a_mask(ready: Guest, masked_run: Callable[[Guest, Blocked], None]) -> None:
    """kvm_sigset_deactivate(): what the thread blocked before is in no set of its any more.

    While it is in real_blocked, sig_ignored() takes the signal for one that will be unblocked, and
    it is queued. On one thread throughout, for that set is the thread's.
    """
    signo, thread = signal.SIGCHLD, threading.get_native_id()
    with Disposition(signo, ignored=False):
        with CountingHandler(KICK), Blocked(signo, KICK) as blocked:
            ready.vcpu.set_signal_mask(())
            masked_run(ready, blocked)
        ready.vcpu.set_signal_mask(None)
        said = f"On {signo.name} at its default, which the thread blocked in a run with a mask"

        def run(disturb: Callable[[], None]) -> Tried:
            ready.clear_stop()
            result = run_disturbed(ready, disturb, ON_AND_ON)
            require_left(result, f"{said}, then the stop word")
            return Tried(result, result.describe() if result.spurious else "")

        undisturbed(lambda: run(lambda: send(thread, signo)), lambda: run(lambda: None), said)


@pytest.mark.claim("signals.spurious_is_legal")
@every_guest_mode
@pin_guest_program("heartbeat")
def test_spurious_stopped_and_continued(
    loaded: Guest, guest_mode: str, record_property: pytest.RecordProperty
) -> None:
    """SIGSTOP and SIGCONT may end KVM_RUN with EINTR or not: commit 3e684903a8574 and before.

    What must not be: another result, or a guest that does not run on. Here the whole process of
    the guest stops, so it is not this one. `loaded` has shown that the mode can be had.
    """
    with GuestProcess(guest_mode) as apart:
        answer = apart.ask("progress")
        for number in range(1, PAUSES + 1):
            assert not answer.outcome, f"Before pause {number}, {answer.outcome}"
            assert apart.pause(PATIENCE_S), (
                f"On SIGSTOP {number}, the vCPU's thread must leave KVM_RUN and stop, but its "
                f"process was not stopped after {PATIENCE_S:.0f} s"
            )
            apart.go_on()
            answer = apart.ask("progress")
        last = apart.ask("stop")
    record_property("spurious_eintr", last.eintr)
    assert last.stopped, f"After {PAUSES} pauses and the stop word, {last.outcome}"
