# SPDX-License-Identifier: GPL-2.0-only
"""What interrupts a thread in KVM_RUN and is no signal: a freezer, a debugger, work for the thread.

SIGSTOP and SIGCONT stand in test_interruption.py. EINTR is legal for all of these, and so is none;
what must not be is another answer, a thread that is not let go, or a guest that does not run on.
"""

from __future__ import annotations

import pytest

from harness.host import freezer, pace, task_work, tracer
from harness.host.features import reason
from harness.kvm.guest import Guest
from harness.kvm.guest_process import HALTED, GuestProcess
from harness.kvm.kicked_here import run_disturbed
from harness.require import require_left
from suites.dimensions import an_irqchip_that_halts, pin_guest_program
from suites.signals.disturbed import require_freezes, require_stops, run_with_work

PAUSES = 5
ON_AND_ON = 500  # turns of the guest's loop: well after what disturbed it
PATIENCE_S = pace.here().patience(10.0)


@pytest.mark.claim("signals.spurious_is_legal")
@pin_guest_program("heartbeat")
def test_spurious_frozen_and_thawed(
    loaded: Guest, guest_mode: str, record_property: pytest.RecordProperty
) -> None:
    """cgroup v2, cgroup.freeze: the thread leaves KVM_RUN, or the cgroup is never frozen."""
    try:
        with freezer.Freezer() as cgroup, GuestProcess(guest_mode) as apart:
            cgroup.take(apart.pid)
            answer = apart.ask("progress")
            for number in range(1, PAUSES + 1):
                assert not answer.outcome, f"Before freeze {number}, {answer.outcome}"
                if cgroup.kernel_threads():
                    pytest.skip(reason("no_freezer", "a thread of KVM is in the cgroup"))
                frozen = cgroup.freeze(PATIENCE_S)
                assert frozen, (
                    f"On freeze {number}, the vCPU's thread must leave KVM_RUN and freeze, but "
                    f"its cgroup was not frozen after {PATIENCE_S:.0f} s"
                )
                cgroup.thaw()
                answer = apart.ask("progress")
            last = apart.ask("stop")
    except freezer.NoFreezerError as error:
        pytest.skip(reason("no_freezer", str(error)))
    record_property("spurious_eintr", last.eintr)
    assert last.stopped, f"After {PAUSES} freezes and the stop word, {last.outcome}"


@pytest.mark.claim("signals.spurious_is_legal")
@pin_guest_program("heartbeat")
def test_spurious_traced(
    loaded: Guest, guest_mode: str, record_property: pytest.RecordProperty
) -> None:
    """ptrace(2), PTRACE_SEIZE and PTRACE_INTERRUPT: a debugger that looks at a monitor."""
    try:
        with GuestProcess(guest_mode) as apart:
            answer = apart.ask("progress")
            for number in range(1, PAUSES + 1):
                assert not answer.outcome, f"Before stop {number}, {answer.outcome}"
                assert tracer.interrupt(answer.thread, PATIENCE_S), (
                    f"On PTRACE_INTERRUPT {number}, the vCPU's thread must leave KVM_RUN and stop, "
                    f"but it did not within {PATIENCE_S:.0f} s"
                )
                answer = apart.ask("progress")
            last = apart.ask("stop")
    except tracer.NoTracerError as error:
        pytest.skip(reason("no_ptrace", str(error)))
    record_property("spurious_eintr", last.eintr)
    assert last.stopped, f"After {PAUSES} stops by ptrace and the stop word, {last.outcome}"


@pytest.mark.claim("signals.spurious_is_legal")
def test_spurious_task_work(ready: Guest, record_property: pytest.RecordProperty) -> None:
    """io_uring: the completion of what the vCPU's thread began is work for that thread."""
    spurious = 0
    for number in range(1, PAUSES + 1):
        try:
            work = task_work.TaskWork()
        except task_work.NoTaskWorkError as error:
            pytest.skip(reason("no_io_uring", str(error)))
        with work:
            result = run_disturbed(ready, work.give, ON_AND_ON)
            done = work.done()
        spurious += result.spurious
        ready.clear_stop()
        require_left(result, f"With work {number} for the vCPU's thread, and the stop word")
        assert done, f"Work {number} for the vCPU's thread was not done when KVM_RUN was left"
    record_property("spurious_eintr", spurious)


@pytest.fixture
def halting(loaded: Guest) -> Guest:
    """The program halts as soon as it runs; interrupts end at the controller."""
    loaded.set_data(0, 1)
    return loaded


# `halting` shows for these two that the mode and the controller can be had.


@pytest.mark.claim("signals.spurious_is_legal")
@pin_guest_program("halt")
@an_irqchip_that_halts
def test_spurious_stopped_while_halted(
    halting: Guest, guest_mode: str, record_property: pytest.RecordProperty
) -> None:
    """kvm_vcpu_check_block() asks for TIF_SIGPENDING, which a stop sets without any signal."""
    record_property("spurious_eintr", require_stops(guest_mode, HALTED, "is halted"))


@pytest.mark.claim("signals.spurious_is_legal")
@pin_guest_program("halt")
@an_irqchip_that_halts
def test_spurious_frozen_while_halted(
    halting: Guest, guest_mode: str, record_property: pytest.RecordProperty
) -> None:
    """The same of a freeze."""
    record_property("spurious_eintr", require_freezes(guest_mode, HALTED, "is halted"))


@pytest.mark.claim("signals.spurious_is_legal")
@pin_guest_program("halt")
@an_irqchip_that_halts
def test_spurious_task_work_while_halted(
    halting: Guest, record_property: pytest.RecordProperty
) -> None:
    """The same of work for the thread: TIF_NOTIFY_SIGNAL, which signal_pending() is for too."""

    def wake_and_stop() -> None:
        halting.stop()
        halting.architecture.deliver_interrupt(halting.vm, halting.vcpu)

    result = run_with_work(halting, "is halted", wake_and_stop)
    record_property("spurious_eintr", result.spurious)
    require_left(result, "After work for a halted vCPU's thread, with the stop word")
