# SPDX-License-Identifier: GPL-2.0-only
"""Operations that are KVM_RUNs of a guest that goes on until a signal ends them."""

from __future__ import annotations

from harness.kvm.kicked_here import run_kicked, until_progress
from harness.kvm.run import RunResult
from harness.kvm.running import EndedForNothingError, NotSeenError, Running
from harness.kvm.senders import SENDERS
from harness.kvm.signals import KICK, CountingHandler
from harness.model.answers import Circumstances, ModelVcpu
from harness.sequences.operation import Arguments
from harness.sequences.subject import Subject, Violation

_SOME_TICKS_NS = 10_000_000  # of processor time
_MOST_FOR_NOTHING = 20


def kick(subject: Subject, given: Arguments) -> None:
    """A signal once the guest runs; it must end the run, also with SA_RESTART, and be handled once.

    With SA_RESTART it is one to the thread.
    """
    sender, restart = SENDERS[given["sender"]], given["restart"]
    handled = 0

    def run() -> RunResult:
        nonlocal handled
        result, handled = run_kicked(subject.guest, lambda: until_progress(subject.guest), sender)
        return result

    def run_restarting() -> RunResult:
        nonlocal handled
        with CountingHandler(KICK, restart=True) as handler, Running(subject.guest) as running:
            running.wait_for_progress()
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


def kick_by_handler(subject: Subject, given: Arguments) -> None:
    """As api.rst describes it: the handler sets the byte, and the next run ends at once."""
    guest = subject.guest
    guest.vcpu.immediate_exit = 0

    def run() -> RunResult:
        handler = CountingHandler(KICK, restart=given["restart"])
        with handler, Running(guest) as running:
            handler.sets_immediate_exit(guest)
            running.wait_for_progress()
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


def certain(model: ModelVcpu) -> list[str]:
    """The kinds of events of which the guest must take one where it next waits."""
    state = model.at_exit().state
    return [
        kind
        for kind, events in state.events.items()
        if events.certain and (kind != "interrupts" or state.interrupts_on)
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
            running.wait_for_progress()
            running.wait_until(taken, "the events that were sent to the guest")
            running.kick(KICK)
            return running.outcome()

    try:
        subject.run(run, Circumstances(kicked=True))
    except NotSeenError as error:
        raise Violation("states.events_survive", f"{subject.where()}, {error}") from None
