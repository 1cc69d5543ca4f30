# SPDX-License-Identifier: GPL-2.0-only
"""KVM_SET_SIGNAL_MASK, the older way to a kick without a race (api.rst 4.21).

It is also the only way to a signal that is certainly pending when KVM_RUN starts: one that the
thread does not block is delivered on the way out of whatever system call sent it, before KVM_RUN.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from harness.kvm.guest import Guest
from harness.kvm.guest_process import GuestProcess
from harness.kvm.running import Running
from harness.kvm.signals import Blocked, CountingHandler, Disposition, thread_mask
from harness.kvm.speech import Word
from harness.kvm.vcpu import KERNEL_SIGSET_BYTES, all_signals_but
from harness.require import (
    require_eintr,
    require_errno,
    require_left,
    require_mask,
    require_runs_on,
    require_said,
    require_signal_at_entry,
    require_signal_exit,
)
from suites.dimensions import KICK, every_guest_mode, every_irqchip, pin_dialogue, pin_guest_program

ON_AND_ON = 500
QUEUED = 5
INPUT = 0x5A

# For the tests that set the byte; the others are about any KVM.
with_the_byte = pytest.mark.usefixtures("capability")

# What the process does with the kick.
Reception = Callable[[], CountingHandler | Disposition]
each_reception = pytest.mark.parametrize(
    "reception",
    [lambda: CountingHandler(KICK), lambda: Disposition(KICK, ignored=True)],
    ids=["handled", "ignored"],
)


def require_pending(blocked: Blocked, wanted: int, circumstance: str) -> None:
    """So many kicks are still pending on this thread; they are taken away."""
    __tracebackhide__ = True
    found = blocked.take(KICK)
    assert found == wanted, (
        f"{circumstance}, the signal must be pending {wanted} times, but it is {found} times"
    )


@pytest.mark.claim("signals.pending_at_entry")
@every_guest_mode
@every_irqchip
def test_pending_on_first_run(loaded: Guest, blocked: Blocked) -> None:
    """api.rst, section 5: re-enter "with an unmasked signal pending ... without allowing any
    further instructions to be executed"; for a vCPU that never ran."""
    loaded.vcpu.set_signal_mask(())
    blocked.send(KICK)
    require_signal_at_entry(loaded, "On a first run with a signal pending at entry")
    blocked.take(KICK)
    require_runs_on(loaded, "After a first run with a signal pending at entry")


@pytest.mark.claim("signals.pending_at_entry")
@every_guest_mode
@every_irqchip
def test_pending_on_later_run(ready: Guest, blocked: Blocked) -> None:
    """The same for a guest that ran before."""
    ready.vcpu.set_signal_mask(())
    blocked.send(KICK)
    require_signal_at_entry(ready, "On a later run with a signal pending at entry")
    blocked.take(KICK)
    require_runs_on(ready, "After a later run with a signal pending at entry")


@pytest.mark.claim("signals.pending_at_entry")
@every_guest_mode
@pin_dialogue
def test_pending_completes_a_read(loaded: Guest, blocked: Blocked) -> None:
    """api.rst, section 5: "The kernel side will first finish incomplete operations and then check
    for pending signals"."""
    asked = require_said(loaded.vcpu.run_raw(), Word.READ, "At the program's read")
    loaded.architecture.answer(loaded.vcpu, asked, INPUT)
    loaded.vcpu.set_signal_mask(())
    blocked.send(KICK)
    result = loaded.vcpu.run_raw()
    require_signal_exit(result, "With a read to complete and a signal pending at entry")
    found = loaded.architecture.accumulator(loaded.vcpu)
    assert found == INPUT, f"The read of {INPUT:#x} must be complete, but the guest has {found:#x}"
    assert loaded.data(1) == 0, "The guest executed the instruction after the read"


def _handled() -> CountingHandler:
    return CountingHandler(KICK)


def _ignored() -> Disposition:
    return Disposition(KICK, ignored=True)


@pytest.mark.claim("signals.mask_kicks")
@each_reception
def test_mask_kicks_running_guest(ready: Guest, reception: Reception) -> None:
    """api.rst 4.21: "Any unblocked signal received ... will cause KVM_RUN to return with -EINTR
    ... the signal will only be delivered if not blocked by the original signal mask"."""
    ready.vcpu.set_signal_mask(all_signals_but(KICK))
    with reception() as received, Running(ready, blocked={KICK}) as running:
        running.wait_for_progress()
        running.kick(KICK)
        result = running.outcome()
    require_signal_exit(result, "On a signal that only KVM_RUN's mask lets in")
    assert running.pending == {KICK}, (
        f"The signal must still be pending after KVM_RUN, but pending is {running.pending}"
    )
    if isinstance(received, CountingHandler):
        assert received.count() == 0, "The handler of a signal that the thread blocks has run"


@pytest.mark.claim("signals.mask_kicks")
@each_reception
def test_mask_kicks_before_the_run(ready: Guest, reception: Reception) -> None:
    """The same for a signal that came before KVM_RUN, and again while it stays pending."""
    ready.vcpu.set_signal_mask(all_signals_but(KICK))
    with reception() as received, Blocked(KICK) as blocked:
        blocked.send(KICK)
        for number in (1, 2):
            said = f"On run {number} with a pending signal that only KVM_RUN's mask lets in"
            require_signal_at_entry(ready, said)
        require_pending(blocked, 1, "After two runs")
        if isinstance(received, CountingHandler):
            assert received.count() == 0, "The handler of a signal that the thread blocks has run"


@pytest.mark.claim("signals.mask_kicks")
@every_guest_mode
@pin_guest_program("heartbeat")
def test_mask_kicks_fatal_by_default(loaded: Guest, guest_mode: str) -> None:
    """Before commit 20b7035c66ba a signal at a default that ends the process did end it.

    So it is another process that is kicked. `loaded` has shown that the mode can be had.
    """
    with GuestProcess(guest_mode, kicked_by=KICK) as apart:
        apart.ask("progress")
        kicked = apart.ask("kick")
        assert kicked.interrupted, f"KVM_RUN must return -1 with EINTR, but {kicked.outcome}"
        assert kicked.pending == (KICK,), f"The signal must be pending, but: {kicked.pending}"
        last = apart.ask("stop")
    assert last.stopped, f"After the kick and the stop word, {last.outcome}"


@pytest.mark.claim("signals.mask_restored")
def test_mask_after_exit_to_userspace(ready: Guest, blocked: Blocked) -> None:
    """api.rst 4.21: the mask "temporarily overrides the threads signal mask": after an exit."""
    before = thread_mask()
    ready.vcpu.set_signal_mask(all_signals_but(KICK))
    ready.stop()
    result = ready.vcpu.run_raw()
    require_mask(before, "After an exit to userspace")
    require_left(result, "With the stop word set")


@pytest.mark.claim("signals.mask_restored")
@with_the_byte
def test_mask_after_immediate_exit(ready: Guest, blocked: Blocked) -> None:
    """The same after the byte."""
    before = thread_mask()
    ready.vcpu.set_signal_mask(all_signals_but(KICK))
    result = ready.run_immediate()
    require_mask(before, "After an immediate exit")
    require_eintr(result, "With immediate_exit=1")


@pytest.mark.claim("signals.mask_restored")
def test_mask_after_signal_at_entry(ready: Guest, blocked: Blocked) -> None:
    """The same after a signal that was pending."""
    before = thread_mask()
    ready.vcpu.set_signal_mask(all_signals_but(KICK))
    blocked.send(KICK)
    result = ready.vcpu.run_raw()
    require_mask(before, "After a run that a pending signal ended")
    require_signal_exit(result, "With a signal pending at entry")


@pytest.mark.claim("signals.mask_restored")
def test_mask_after_signal_while_running(ready: Guest) -> None:
    """The same after a signal that came meanwhile."""
    ready.vcpu.set_signal_mask(all_signals_but(KICK))
    with CountingHandler(KICK), Running(ready, blocked={KICK}) as running:
        running.wait_for_progress()
        running.kick(KICK)
        result = running.outcome()
    require_signal_exit(result, "On a signal that only KVM_RUN's mask lets in")
    assert running.mask_after == running.mask_before, (
        f"The thread blocked {sorted(running.mask_before)} before KVM_RUN and "
        f"{sorted(running.mask_after)} after a signal ended it"
    )


@pytest.mark.claim("signals.mask_restored")
def test_mask_after_invalid_argument(ready: Guest, blocked: Blocked) -> None:
    """The same after a KVM_RUN whose argument is not 0, which is refused."""
    before = thread_mask()
    ready.vcpu.set_signal_mask(all_signals_but(KICK))
    result = ready.vcpu.run_raw(argument=1)
    require_mask(before, "After KVM_RUN with the argument 1")
    require_errno(result, errno.EINVAL, "With the argument 1")


@pytest.mark.claim("signals.mask_arguments")
@pytest.mark.parametrize(
    "length",
    [0, KERNEL_SIGSET_BYTES // 2, 2 * KERNEL_SIGSET_BYTES],
    ids=["empty", "half", "double"],
)
def test_mask_of_wrong_length(ready: Guest, blocked: Blocked, length: int) -> None:
    """kvm_vcpu_ioctl_set_sigmask(): only the size of the kernel's sigset_t is right.

    The mask that was there stays: it lets the kick in, the refused one would not.
    """
    ready.vcpu.set_signal_mask(())
    value = ready.vcpu.set_signal_mask_raw(all_signals_but(), length)
    assert value == -errno.EINVAL, (
        f"KVM_SET_SIGNAL_MASK with the length {length} must fail with EINVAL, but gave {value}"
    )
    blocked.send(KICK)
    require_signal_at_entry(ready, "With the mask as before a call that was refused")


@pytest.mark.claim("signals.mask_arguments")
def test_null_mask_clears(ready: Guest) -> None:
    """Without a mask the thread's own counts again: what it blocks does not end KVM_RUN."""
    ready.vcpu.set_signal_mask(())
    ready.vcpu.set_signal_mask(None)
    with CountingHandler(KICK) as handler, Running(ready, blocked={KICK}) as running:
        running.wait_for_progress()
        running.kick(KICK)
        running.wait_for_progress(ON_AND_ON)
        ready.stop()
        result = running.outcome()
    require_left(result, "With a blocked signal pending and no mask, then the stop word")
    assert running.pending == {KICK}, "The blocked signal is no longer pending after KVM_RUN"
    assert handler.count() == 0, "The handler of a signal that the thread blocks has run"


@pytest.mark.claim("signals.not_swallowed")
@with_the_byte
@pytest.mark.parametrize("let_in", [False, True], ids=["without_mask", "by_mask"])
@pytest.mark.parametrize("number", [1, QUEUED], ids=["one", "queued"])
def test_stays_pending(ready: Guest, blocked: Blocked, let_in: bool, number: int) -> None:
    """kvm_sigset_activate() and its counterpart only exchange masks: no signal comes or goes.

    Each real-time signal that is sent waits for itself, so that each can be counted.
    """
    if let_in:
        ready.vcpu.set_signal_mask(())
    blocked.send(KICK, number)
    for _ in range(2):
        require_eintr(ready.run_immediate(), f"With immediate_exit=1 and {number} signals pending")
    require_pending(blocked, number, "After two immediate exits")


@pytest.mark.claim("signals.not_swallowed")
@with_the_byte
def test_delivered_once_afterwards(ready: Guest) -> None:
    """Let go after the immediate exit, each of the signals reaches the handler."""
    with CountingHandler(KICK) as handler, Blocked(KICK) as blocked:
        blocked.send(KICK, QUEUED)
        require_eintr(ready.run_immediate(), "With immediate_exit=1 and signals pending")
        early = handler.count()
        blocked.let_go()
        late = handler.count()
    assert (early, late) == (0, QUEUED), (
        f"Of {QUEUED} blocked signals, {early} reached the handler in an immediate exit, and "
        f"{late} in all once they were unblocked"
    )
