# SPDX-License-Identifier: GPL-2.0-only
"""Operations that are KVM_RUNs of a guest that spins or sleeps until a signal ends them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from harness.host import pace, task_work
from harness.kvm import call_log
from harness.kvm.exits import reason_name
from harness.kvm.kicked_here import Ready, run_kicked, until_asleep, until_progress
from harness.kvm.run import RunResult
from harness.kvm.running import POLL_S, EndedForNothingError, NotSeenError, Running, asleep
from harness.kvm.senders import SENDERS, Send, Sender
from harness.kvm.signals import KICK, CountingHandler, thread_mask
from harness.kvm.vcpu import Vcpu
from harness.model.answers import Circumstances, ModelVcpu
from harness.sequences.operation import Arguments
from harness.sequences.subject import Subject
from harness.sequences.violation import Violation
from harness.ways import SIGNAL

_SOME_TICKS_NS = 10_000_000  # of processor time
_MOST_FOR_NOTHING = 20
_PATIENCE_S = 5.0


def ready_for_kick(subject: Subject) -> Ready:
    """Once the guest runs, or sleeps where it is to."""
    sleeps = subject.model.at_exit().sleeps()
    return (until_asleep if sleeps else until_progress)(subject.guest)


def _wait_for_its_wait(subject: Subject, running: Running) -> None:
    """Raises `NotSeenError`."""
    if subject.model.at_exit().sleeps():
        running.wait_until(lambda: asleep(subject.guest, running.tid), "the vCPU to sleep")
    else:
        running.wait_for_progress()


def kick(subject: Subject, given: Arguments) -> None:
    """A signal once the guest runs; it must end the run, also with SA_RESTART, and be handled once.

    With SA_RESTART it is one to the thread.
    """
    sender, restart = SENDERS[given["sender"]], given["restart"]
    handled = 0

    def run() -> RunResult:
        nonlocal handled
        result, handled = run_kicked(subject.guest, lambda: ready_for_kick(subject), sender)
        return result

    def run_restarting() -> RunResult:
        nonlocal handled
        with CountingHandler(KICK, restart=True) as handler, Running(subject.guest) as running:
            _wait_for_its_wait(subject, running)
            running.kick(KICK)
            result = running.outcome()
        handled = handler.count()
        return result

    subject.run(run_restarting if restart else run, Circumstances(kicked=True))
    if handled != 1:
        said = "a signal with SA_RESTART" if restart else given["sender"]
        raise Violation(
            "signals.not_swallowed",
            f"{subject.where()}, {said} must be handled once after KVM_RUN, but its handler ran "
            f"{handled} times",
        )


def work(subject: Subject, given: Arguments) -> None:
    """Before the signal the thread gets work, wherever it is: no signal, but the kernel does it.

    Nothing where this host has no io_uring.
    """
    call_log.cannot("work for a thread")
    first = SENDERS[given["sender"]]
    patience = pace.here().patience(_PATIENCE_S)
    try:
        thread_work = task_work.TaskWork()
    except task_work.NoTaskWorkError:
        return

    @contextmanager
    def to(tid: int) -> Iterator[Send]:
        with first.to(tid) as send_it:

            def send_behind_the_work() -> None:
                thread_work.give()
                for _ in range(int(patience / POLL_S)):
                    if thread_work.done():
                        break
                    time.sleep(POLL_S)
                send_it()

            yield send_behind_the_work

    sender = Sender(first.signo, to)
    with thread_work:
        subject.run(
            lambda: run_kicked(subject.guest, lambda: ready_for_kick(subject), sender)[0],
            Circumstances(kicked=True),
        )
        if not thread_work.done():
            raise Violation(
                "signals.spurious_is_legal",
                f"{subject.where()}, with work for its thread, that must leave KVM_RUN and do it, "
                f"but it did not within {patience:.0f} s, before a signal came",
            )


def kick_by_handler(subject: Subject, given: Arguments) -> None:
    """As api.rst describes it: the handler sets the byte, and the next run ends at once."""
    guest = subject.guest
    guest.vcpu.immediate_exit = 0

    def run() -> RunResult:
        handler = CountingHandler(KICK, restart=given["restart"])
        with handler, Running(guest) as running:
            handler.sets_immediate_exit(guest)
            _wait_for_its_wait(subject, running)
            running.kick(KICK)
            return running.outcome()

    try:
        subject.run(run, Circumstances(kicked=True, sets_byte=True))
        if not guest.vcpu.immediate_exit:
            raise Violation(
                "races.handler_writes",
                f"{subject.where()}, the byte that the signal's handler set must stay, but it is 0",
            )
        _require_ends_at_once(subject)
    finally:
        guest.vcpu.immediate_exit = 0


def set_while_running(subject: Subject, given: Arguments) -> None:
    """Another thread sets the byte, without a signal: that run goes on, and the next ends."""
    guest = subject.guest

    def run() -> RunResult:
        guest.vcpu.immediate_exit = 0
        with CountingHandler(KICK), Running(guest) as running:
            running.wait_for_progress()
            guest.vcpu.immediate_exit = given["value"]
            running.wait_for_processor_time(_SOME_TICKS_NS)
            running.wait_for_progress()
            running.kick(KICK)
            return running.outcome()

    def undisturbed() -> RunResult:
        for _ in range(_MOST_FOR_NOTHING):
            try:
                return run()
            except EndedForNothingError as error:  # it says nothing, nor do so many of them
                guest.clear_stop()  # the run was over when it was to be stopped
                last = error.result
        return last

    try:
        subject.run(undisturbed, Circumstances(kicked=True, sets_byte=True))
        _require_ends_at_once(subject)
    except NotSeenError as error:
        raise Violation("preset.polled_once", f"{subject.where()}, {error}") from None
    finally:
        guest.vcpu.immediate_exit = 0


def _require_ends_at_once(subject: Subject) -> None:
    vcpu = subject.guest.vcpu
    byte = Circumstances(byte=vcpu.immediate_exit)
    subject.run(lambda: vcpu.run_raw(progress_forbidden=True), byte)


def add_processor(subject: Subject, given: Arguments) -> None:
    """Another vCPU, which the byte, a signal and a kick end; none of them starts it.

    Without an interrupt controller in the kernel none waits to be started: then the byte only.
    """
    other = subject.guest.add_processor()
    subject.leave_at_once(other.vcpu, subject.guest.vm)
    if subject.setting.irqchip == "none":
        return
    other.vcpu.immediate_exit = 0
    sender = SENDERS[given["sender"]]
    _require_interrupted(
        subject,
        other.vcpu,
        "a signal pending at entry",
        lambda: (SIGNAL.run_many(other.vcpu, 1), 1),
    )
    _require_interrupted(
        subject,
        other.vcpu,
        given["sender"],
        lambda: run_kicked(other, lambda: until_asleep(other), sender),
    )


def _require_interrupted(
    subject: Subject, vcpu: Vcpu, said: str, run: Callable[[], tuple[RunResult, int]]
) -> None:
    """So ends a run of a vCPU that was not started, and starts it not; `run` also counts it."""
    state, mask = vcpu.mp_state(), thread_mask()
    result, handled = run()
    reason = reason_name(result.exit_reason)
    if not result.gave_eintr or reason != "KVM_EXIT_INTR" or handled != 1:
        raise Violation(
            "states.uninitialized",
            f"{subject.where()}, {said} must end the KVM_RUN of a processor that was not "
            f"started with -1, EINTR and KVM_EXIT_INTR, and be handled once, but it was "
            f"handled {handled} times, and {result.describe()}",
        )
    if (vcpu.mp_state(), thread_mask()) != (state, mask):
        raise Violation(
            "states.uninitialized",
            f"{subject.where()}, after {said} on a processor that was not started its MP state "
            f"and the thread's mask must stay, but it went from {state} to {vcpu.mp_state()}, "
            f"and the mask from {sorted(mask)} to {sorted(thread_mask())}",
        )


def certain(model: ModelVcpu) -> list[str]:
    """The kinds of events of which the guest must take one where it next waits."""
    there = model.at_exit()
    return [
        kind
        for kind, events in there.state.events.items()
        if events.certain and (kind != "interrupts" or there.takes_interrupts())
    ]


def take_events(subject: Subject, given: Arguments) -> None:
    """The guest runs until it took what waits for it; then a kick ends the run."""
    guest, kinds = subject.guest, certain(subject.model)
    before = subject.program.counted(guest)

    def taken() -> bool:
        now = subject.program.counted(guest)
        return all(now[kind] != before[kind] for kind in kinds)

    def run() -> RunResult:
        with CountingHandler(KICK), Running(guest) as running:
            _wait_for_its_wait(subject, running)
            running.wait_until(taken, "the events that were sent to the guest")
            running.kick(KICK)
            return running.outcome()

    try:
        subject.run(run, Circumstances(kicked=True))
    except NotSeenError as error:
        raise Violation("states.events_survive", f"{subject.where()}, {error}") from None
