# SPDX-License-Identifier: GPL-2.0-only
"""What userspace can do to a vCPU, as a table: `operations()`."""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable, Mapping

from harness import ways
from harness.kvm.kicked_here import run_kicked, until_progress
from harness.kvm.run import RunResult
from harness.kvm.running import NotSeenError, Running
from harness.kvm.senders import SENDERS
from harness.kvm.signals import KICK, CountingHandler
from harness.kvm.vcpu import all_signals_but
from harness.model.answers import Circumstances, ModelVcpu
from harness.model.program import Step
from harness.require import may_complete
from harness.sequences import arch
from harness.sequences.operation import AnyNumber, AnyScript, Arguments, Domain, OneOf, Operation
from harness.sequences.subject import Subject, Violation

# ---- when


def _at_end(model: ModelVcpu) -> bool:
    """The script has said its end, and no other was written yet."""
    over = model.step.name == "end" and bool(model.passed)
    return over and model.next_script is None


def _would_wait(model: ModelVcpu) -> bool:
    """The guest comes to where it waits, and not to an exit."""
    return model.at_exit().waits()


def _leaves(model: ModelVcpu) -> bool:
    return not _would_wait(model)


def _comes_to_wait(model: ModelVcpu) -> bool:
    """Before it waits there is nothing that KVM has yet to complete by another exit."""
    if not _would_wait(model):
        return False
    following = model.next_exchange() if model.pending else None
    return following is None


def _completed(model: ModelVcpu) -> bool:
    """Nothing is pending: what userspace changes is what the guest goes on with."""
    return not model.pending


# ---- runs


def _on(subject: Subject, thread: str, run: Callable[[], RunResult]) -> Callable[[], RunResult]:
    """The run on this thread, or a plain one on a new thread that ends with it."""
    if thread == "here":
        return run

    def elsewhere() -> RunResult:
        with Running(subject.guest) as running:
            return running.outcome()

    return elsewhere


def _run(subject: Subject, given: Arguments) -> None:
    run = _on(subject, given["thread"], subject.guest.vcpu.run_raw)
    subject.run(run, Circumstances(), given["answer"], refuse=given["refuse"])


def _immediate(subject: Subject, given: Arguments) -> None:
    """The byte is set before, and perhaps a window for interrupts is asked for."""
    page = subject.guest.vcpu.run_page
    page.immediate_exit, page.request_interrupt_window = given["value"], given["window"]
    thread = given["thread"]
    run = _on(subject, thread, lambda: subject.guest.vcpu.run_raw(progress_forbidden=True))
    try:
        _ended_early(subject, ways.BYTE, run, Circumstances(byte=given["value"]), given)
    finally:
        page.immediate_exit = page.request_interrupt_window = 0


def _signal(subject: Subject, given: Arguments) -> None:
    way = ways.SIGNAL
    _ended_early(subject, way, lambda: way.run(subject.guest), Circumstances(signal=True), given)


def _ended_early(
    subject: Subject,
    way: ways.WayOut,
    run: Callable[[], RunResult],
    entry: Circumstances,
    given: Arguments,
) -> None:
    """So many runs; if asked to look, the whole state is compared around the first and the last."""
    guest = subject.guest
    # A signal finds them on their way into the guest, and leaves them so.
    to_come = any(events.to_come for events in subject.model.state.events.values())
    moves_events = way.signal and (to_come or subject.model.refused())
    bits = guest.architecture.COMPLETION_BITS
    for number in range(given["times"]):
        look = given["look"] and number in (0, given["times"] - 1) and not moves_events
        pending, refused = subject.model.pending, subject.model.refused()
        before = guest.whole() if look else None
        registers = guest.architecture.registers(guest.vcpu)
        answer = subject.run(run, entry, given["answer"], refuse=given["refuse"])
        if answer.exchange is not None or pending:
            if before is not None and answer.exchange is None:
                also = (*subject.program.COMPLETED, *(subject.program.REFUSED if refused else ()))
                passed = may_complete(guest, way, also)
                subject.require_same(before, entry.said, passed, "completion.exactly_once")
            continue
        after = guest.architecture.registers(guest.vcpu)
        changed = [
            name for name, value in registers.items() if (after[name] ^ value) & ~bits.get(name, 0)
        ]
        if changed:
            raise Violation(
                "preset.no_guest_progress",
                f"{subject.where()}, {entry.said}, registers must stay, but "
                + "; ".join(f"{n} went from {registers[n]:#x} to {after[n]:#x}" for n in changed),
            )
        if before is not None:
            passed = way.counts(guest.architecture)
            subject.require_same(before, entry.said, passed, "preset.state_untouched")


def _kick(subject: Subject, given: Arguments) -> None:
    """A signal once the guest runs; it must end the run, and be handled once."""
    sender = SENDERS[given["sender"]]
    handled = 0

    def run() -> RunResult:
        nonlocal handled
        result, handled = run_kicked(subject.guest, lambda: until_progress(subject.guest), sender)
        return result

    subject.run(run, Circumstances(kicked=True))
    if handled != 1:
        raise Violation(
            "signals.not_swallowed",
            f"{subject.where()}, {given['sender']} must be handled once after KVM_RUN, but its "
            f"handler ran {handled} times",
        )


def _kick_by_handler(subject: Subject, given: Arguments) -> None:
    """As api.rst describes it: the handler sets the byte, and the next run ends at once."""
    guest = subject.guest
    guest.vcpu.immediate_exit = 0

    def run() -> RunResult:
        with CountingHandler(KICK) as handler, Running(guest) as running:
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
        byte = Circumstances(byte=guest.vcpu.immediate_exit)
        subject.run(lambda: guest.vcpu.run_raw(progress_forbidden=True), byte)
    finally:
        guest.vcpu.immediate_exit = 0


# ---- what userspace changes between runs


def _script(subject: Subject, given: Arguments) -> None:
    subject.go_on_with([Step(*each) for each in given["steps"]])


def _release(subject: Subject, given: Arguments) -> None:
    subject.release()


def _interrupt(subject: Subject, given: Arguments) -> None:
    guest = subject.guest
    guest.architecture.deliver_interrupt(guest.vm, guest.vcpu)
    subject.change(subject.model.state.sent("interrupts"))


def _certain(model: ModelVcpu) -> list[str]:
    """The kinds of events of which the guest must take one where it next waits."""
    state = model.at_exit().state
    return [
        kind
        for kind, events in state.events.items()
        if events.certain and (kind != "interrupts" or state.interrupts_on)
    ]


def _take_events(subject: Subject, given: Arguments) -> None:
    """The guest runs until it took what waits for it; then a kick ends the run."""
    guest, kinds = subject.guest, _certain(subject.model)
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


def _move(subject: Subject, given: Arguments) -> None:
    """The guest goes on in a fresh VM, as after a migration."""
    subject.move()


def _remap(subject: Subject, given: Arguments) -> None:
    """The guest's memory is taken away and given back."""
    subject.guest.vm.delete_memory(0)
    subject.guest.vm.restore_memory(0, log_dirty=given["logged"])


def _mask(subject: Subject, given: Arguments) -> None:
    """KVM_SET_SIGNAL_MASK, which lets the kicks in."""
    let_in = {KICK, *(sender.signo for sender in SENDERS.values())}
    subject.guest.vcpu.set_signal_mask(all_signals_but(*let_in) if given["on"] else None)


def _descriptor(subject: Subject, given: Arguments) -> None:
    """The vCPU's descriptor is another one: the old one is closed."""
    vcpu = subject.guest.vcpu
    old, vcpu.fd = vcpu.fd, os.dup(vcpu.fd)
    os.close(old)


def _add_processor(subject: Subject, given: Arguments) -> None:
    """Another vCPU, and an immediate run of it."""
    other = subject.guest.add_processor()
    other.vcpu.immediate_exit = 1
    result = other.vcpu.run_raw()
    if not result.gave_eintr:
        raise Violation(
            "preset.everywhere",
            f"On a new vCPU with immediate_exit=1, KVM_RUN must return -1 with EINTR, but "
            f"{result.describe()}",
        )


def _step_and_leave(subject: Subject, given: Arguments) -> None:
    """Single-stepping is on for runs that end at once, and off again: no step is taken."""
    vcpu = subject.guest.vcpu
    vcpu.set_guest_debug(single_step=True)
    try:
        way = ways.WAYS[given["way"]]
        entry = Circumstances(signal=True) if way.signal else Circumstances(byte=1)
        subject.run(lambda: way.run(subject.guest), entry)
    finally:
        vcpu.set_guest_debug(single_step=False)


_EITHER = OneOf((False, True))
_SERVED: Mapping[str, Domain] = {"answer": AnyNumber(), "refuse": _EITHER}
_THREAD = OneOf(("here", "new"))
_TIMES = OneOf((1, 2, 3, 20))

_EVERYWHERE: Mapping[str, Operation] = {
    "script": Operation(_script, _at_end, {"steps": AnyScript()}, weight=6),
    "run": Operation(_run, _leaves, {**_SERVED, "thread": _THREAD}, weight=6),
    "immediate": Operation(
        _immediate,
        arguments={
            **_SERVED,
            "value": OneOf((1, 2, 0x7F, 0x80, 0xFF)),
            "times": _TIMES,
            "look": _EITHER,
            "thread": _THREAD,
            "window": OneOf((0, 1)),
        },
        weight=3,
    ),
    "signal": Operation(_signal, arguments={**_SERVED, "times": _TIMES, "look": _EITHER}, weight=3),
    "kick": Operation(_kick, _comes_to_wait, {"sender": OneOf(tuple(SENDERS))}, weight=6),
    "kick_by_handler": Operation(_kick_by_handler, _comes_to_wait, weight=3),
    "release": Operation(_release, _would_wait, weight=2),
    "interrupt": Operation(_interrupt, lambda model: model.ready, needs="irqchip"),
    "take_events": Operation(
        _take_events, lambda model: _comes_to_wait(model) and bool(_certain(model))
    ),
    "move": Operation(_move, _completed),
    "remap": Operation(_remap, arguments={"logged": _EITHER}),
    "mask": Operation(_mask, arguments={"on": _EITHER}),
    "descriptor": Operation(_descriptor),
    "add_processor": Operation(_add_processor),
    "step_and_leave": Operation(_step_and_leave, _completed, {"way": OneOf((0, 1))}),
}


@functools.cache
def operations() -> Mapping[str, Operation]:
    """All that there are on this machine's architecture."""
    only: Mapping[str, Operation] = importlib.import_module(
        f"{arch.current().__name__}.operations"
    ).OPERATIONS
    return {**_EVERYWHERE, **only}
