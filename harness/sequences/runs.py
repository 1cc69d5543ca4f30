# SPDX-License-Identifier: GPL-2.0-only
"""Operations that are KVM_RUNs which end at an exit, or before the guest executes anything."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress

from harness import ways
from harness.caller import on_a_fresh_thread
from harness.callers import OF_THE_CALLER, fresh_thread, signal_pending, signals_blocked
from harness.kvm.guest import Guest
from harness.kvm.other_process import NoAnswerError, run_raw_in_child
from harness.kvm.run import RunResult
from harness.kvm.running import Running
from harness.model.answers import Circumstances
from harness.require import may_complete
from harness.sequences.operation import Arguments
from harness.sequences.signals import waiting_signal
from harness.sequences.subject import Subject
from harness.sequences.violation import Violation

#: Threads that may call KVM_RUN, by name. What of them pends would come in with a mask of the vCPU,
#: and a fresh one is "new".
CALLERS: Mapping[str, Callable[[Guest], Iterator[None]]] = {
    each.__name__: each
    for each in OF_THE_CALLER
    if each not in (fresh_thread, signals_blocked, signal_pending)
}
THREADS = (*("here",) * 12, *("new",) * 6, *CALLERS)
NOTHING, STATE, THREAD, CLOCKS = LOOKS = ("nothing", "state", "thread", "clocks")


def _on(subject: Subject, thread: str, run: Callable[[], RunResult]) -> Callable[[], RunResult]:
    """The run on this thread, a plain one on a new thread that ends with it, or as a caller.

    A caller that this process may not be is a thread like others.
    """
    if thread == "here":
        return run
    if thread in CALLERS:
        return lambda: _as_caller(subject, CALLERS[thread], run)

    def elsewhere() -> RunResult:
        with Running(subject.guest) as running:
            return running.outcome()

    return elsewhere


def _as_caller(
    subject: Subject, condition: Callable[[Guest], Iterator[None]], run: Callable[[], RunResult]
) -> RunResult:
    found: list[RunResult] = []

    def called() -> None:
        state = condition(subject.guest)
        with suppress(PermissionError):
            next(state)
        found.append(run())
        del state  # what is so is taken back, on this thread

    on_a_fresh_thread(called)
    return found[0]


def plain(subject: Subject, given: Arguments) -> None:
    """To the next exit, which is served."""
    run = _on(subject, given["thread"], subject.guest.vcpu.run_raw)
    subject.run(run, Circumstances(), given["answer"], refuse=given["refuse"])


def immediate(subject: Subject, given: Arguments) -> None:
    """The byte is set before, and perhaps a window for interrupts is asked for."""
    page = subject.guest.vcpu.run_page
    page.immediate_exit, page.request_interrupt_window = given["value"], given["window"]
    run = _on(subject, given["thread"], _until_progress(subject))
    try:
        _ended_early(subject, ways.BYTE, run, Circumstances(byte=given["value"]), given)
    finally:
        page.immediate_exit = page.request_interrupt_window = 0


def signal(subject: Subject, given: Arguments) -> None:
    """A signal is pending before, which the thread blocks and KVM_SET_SIGNAL_MASK lets in."""
    with waiting_signal(subject, let_in=True):
        run = _until_progress(subject)
        _ended_early(subject, ways.SIGNAL, run, Circumstances(signal=True), given)


def held_back(subject: Subject, given: Arguments) -> None:
    """A signal is pending before that nothing lets in: the run goes on as without it."""
    guest = subject.guest
    with waiting_signal(subject, let_in=False, masked=given["masked"]):
        if given["byte"]:
            subject.run(lambda: guest.run_immediate(given["byte"]), Circumstances(given["byte"]))
        if not subject.model.at_exit().waits():
            answer, refuse = given["answer"], given["refuse"]
            subject.run(guest.vcpu.run_raw, Circumstances(held=True), answer, refuse=refuse)


def leave(subject: Subject, way: ways.WayOut) -> None:
    """One run that the byte or a signal ends early; kvm_run then says what is so."""
    guest = subject.guest
    met = Circumstances(signal=True) if way.signal else Circumstances(byte=1)
    with subject.program.run_told(guest.vcpu, guest.vm) as broken:
        if way.signal:
            with waiting_signal(subject, let_in=True):
                answer = subject.run(_until_progress(subject), met)
        else:
            answer = subject.run(lambda: way.run(guest), met)
        if answer.exchange is None:
            for claim, clause in broken():
                raise Violation(claim, f"{subject.where()}, {met.said}, {clause}")


def wrong_argument(subject: Subject, given: Arguments) -> None:
    """KVM_RUN takes no argument, whatever else is so."""
    vcpu, page = subject.guest.vcpu, subject.guest.vcpu.run_page
    page.immediate_exit = given["byte"]
    try:
        result = vcpu.run_raw(given["argument"], progress_forbidden=True)
    finally:
        page.immediate_exit = 0
    if (result.value, result.errno) != (-1, errno.EINVAL):
        raise Violation(
            "states.precedence",
            f"{subject.where()}, with the argument {given['argument']:#x}, KVM_RUN must return -1 "
            f"with EINVAL, but {result.describe()}",
        )
    subject.require_unmoved("with an argument that KVM_RUN refuses")


def other_process(subject: Subject, given: Arguments) -> None:
    """KVM_RUN of a process that did not make the VM is refused, whatever else is so."""
    vcpu, page = subject.guest.vcpu, subject.guest.vcpu.run_page
    page.immediate_exit = given["byte"]
    try:
        value = run_raw_in_child(vcpu)
    except NoAnswerError as error:
        raise Violation("states.precedence", f"{subject.where()}, {error}") from None
    finally:
        page.immediate_exit = 0
    if value != -errno.EIO:
        raise Violation(
            "states.precedence",
            f"{subject.where()}, with immediate_exit={given['byte']} in a forked child, KVM_RUN "
            f"must fail with EIO, but gave {value}",
        )
    subject.require_unmoved("after the run of a forked child")


def step_and_leave(subject: Subject, given: Arguments) -> None:
    """Single-stepping is on for runs that end at once, and off again: no step is taken."""
    vcpu = subject.guest.vcpu
    vcpu.set_guest_debug(single_step=True)
    try:
        leave(subject, ways.WAYS[given["way"]])
    finally:
        vcpu.set_guest_debug(single_step=False)


def _looked(
    subject: Subject, at: str
) -> AbstractContextManager[Callable[[], Sequence[tuple[str, str]]]]:
    """What is looked at beside the vCPU's state."""
    if at == THREAD:
        return subject.program.looked(subject.guest)
    if at == CLOCKS:
        return subject.program.clocked(subject.guest)
    return nullcontext(tuple)


def _until_progress(subject: Subject) -> Callable[[], RunResult]:
    """A KVM_RUN that guest progress would end."""
    return lambda: subject.guest.vcpu.run_raw(progress_forbidden=True)


def _ended_early(
    subject: Subject,
    way: ways.WayOut,
    run: Callable[[], RunResult],
    entry: Circumstances,
    given: Arguments,
) -> None:
    """So many runs; if asked to look, the whole state is compared around the first and the last.

    With the thread: what it had in its registers, too, around a KVM_RUN that C calls by itself.
    With the clocks: that none was moved.
    """
    guest = subject.guest
    # A signal finds them on their way into the guest, and leaves them so.
    to_come = any(events.to_come for events in subject.model.state.events.values())
    exception_waits = subject.model.raises() or subject.program.exception_waits(guest)
    moves_events = way.signal and (to_come or exception_waits)
    bits = guest.architecture.COMPLETION_BITS
    for number in range(given["times"]):
        look = given["look"] != NOTHING and number in (0, given["times"] - 1) and not moves_events
        step, pending, raises = subject.model.step, subject.model.pending, subject.model.raises()
        before = guest.whole() if look else None
        registers = guest.architecture.registers(guest.vcpu)
        with _looked(subject, given["look"] if look else NOTHING) as broken:
            answer = subject.run(run, entry, given["answer"], refuse=given["refuse"])
            if answer.exchange is None:
                for claim, clause in broken():
                    raise Violation(claim, f"{subject.where()}, {entry.said}, {clause}")
        if answer.exchange is not None or pending:
            if before is not None and answer.exchange is None:
                also = subject.program.may_change(step, raises=raises)
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
                "registers must stay, but "
                + "; ".join(f"{n} went from {registers[n]:#x} to {after[n]:#x}" for n in changed),
                "same",
                circumstance=f"{subject.where()}, {entry.said}",
                names=[f"regs {name}" for name in changed],
            )
        if before is not None:
            passed = way.counts(guest.architecture)
            subject.require_same(before, entry.said, passed, "preset.state_untouched")
