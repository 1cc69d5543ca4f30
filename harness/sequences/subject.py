# SPDX-License-Identifier: GPL-2.0-only
"""A real vCPU in the program `script`, and beside it the model, which judges each answer."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from guest_blobs import memory_map as at
from harness.closing import Closing
from harness.host import pace
from harness.kvm import debug_folders
from harness.kvm.exits import InternalError, IrqWindowOpen, reason_name
from harness.kvm.guest import Guest
from harness.kvm.run import RunResult
from harness.kvm.running import POLL_S
from harness.kvm.signals import thread_mask
from harness.kvm.system import System
from harness.kvm.unmet import CONTENT, word
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.kvm.whole import WholeState, told
from harness.model.answers import AllowedAnswer, Circumstances, ModelVcpu, answers
from harness.model.program import Events, GuestState, Step
from harness.model.steps import LOG, SCRIPT, STEP_BYTES
from harness.sequences import arch
from harness.sequences.deliveries import Deliveries
from harness.sequences.dirty_log import DirtyLog
from harness.sequences.setting import Setting
from harness.sequences.violation import Violation, expected_of, first_wrong_word

_STEPS_DONE, _RELEASED = 1, 2  # data words of the program
_GONE_S = 3.0  # the end of a VM is the end of a close(), but for what another thread still does
_MOST_BYTES = 1 << 12  # of an answer: as many as an exit asks for at most


@dataclass(frozen=True)
class Owed:
    """What KVM must have done once it has entered the guest: the claim, a clause, and whether.

    `brings` is the kind of the event that comes with it, if any.
    """

    claim: str
    said: str
    is_done: Callable[[], bool]
    brings: str = ""


class Subject(Closing):
    """`guest` in the program `script`; `model` is what userspace knows of it."""

    def __init__(
        self, system: System, setting: Setting, script: Sequence[Step] = (Step("end"),)
    ) -> None:
        """Raises `KvmError`; `NoIrqchipError` without such an irqchip."""
        self.system, self.setting = system, setting
        self.program = arch.current()
        self._folders = debug_folders.of_this_thread()
        self.guest = self.program.new_guest(system, setting.irqchip, setting.features)
        self.guest.ram.write(SCRIPT, self.program.PROGRAM.encode(script))
        places = self.program.first_places(self.guest)
        state = replace(self.program.PROGRAM.first_state, places=places)
        self.model = ModelVcpu(self.program.PROGRAM.steps, tuple(script), state=state)
        self._neighbour: Guest | None = None
        self.log: DirtyLog | None = None
        self._owed: list[Owed] = []
        self._shares_pages = False
        self._deliveries = Deliveries(self.guest)

    def close(self) -> None:
        """Closes the VMs."""
        self.guest.close()
        if self._neighbour:
            self._neighbour.close()

    def end(self) -> None:
        """Closes the VMs, of which the kernel then keeps none. Raises `Violation`."""
        self.close()
        for _ in range(int(pace.here().patience(_GONE_S) / POLL_S)):
            left = debug_folders.of_this_thread() - self._folders
            if not left:
                return
            time.sleep(POLL_S)
        debug_folders.set_apart(left)
        raise Violation(
            "preset.host_untouched",
            f"A VM that is closed must be gone, but {len(left)} of this sequence have a folder in "
            "KVM's debugfs still",
        )

    def neighbour(self) -> Guest:
        """A guest in a VM of its own; always the same one."""
        if self._neighbour is None:
            self._neighbour = self.program.new_guest(self.system, "none", ())
        return self._neighbour

    def leave_at_once(self, vcpu: Vcpu, vm: Vm) -> None:
        """An immediate run of another vCPU, whose byte stays set. Raises `Violation`."""
        vcpu.immediate_exit = 1
        with self.program.run_told(vcpu, vm) as broken:
            result = vcpu.run_raw(progress_forbidden=True)
            for claim, clause in broken():
                raise Violation(claim, f"On another vCPU with immediate_exit=1, {clause}")
        if not result.gave_eintr:
            raise Violation(
                "preset.everywhere",
                f"On another vCPU with immediate_exit=1, KVM_RUN must return -1 with EINTR, but "
                f"{result.describe()}",
            )

    def can_do(self, step: str) -> bool:
        """Whether this VM can do a step, and its KVM: one that interprets its guest knows less."""
        needed = self.program.PROGRAM.steps[step].needs
        left_out = {*lacking(self.system), *self.program.PROGRAM.left_out}
        return self.setting.has(needed) and step not in left_out

    def change(self, state: GuestState) -> None:
        """Userspace has changed what the program goes on with."""
        self.model = replace(self.model, state=state)

    def go_on_with(self, script: Sequence[Step]) -> None:
        """Another script, for one that is at its end."""
        self.guest.ram.write(SCRIPT, self.program.PROGRAM.encode(script))
        self.model = replace(self.model, next_script=tuple(script))

    def release(self) -> None:
        """The step `wait` or `sleep` that comes next goes on."""
        if self.model.at_exit().sleeps():
            self.interrupt()
        self.let_go_on()

    def let_go_on(self) -> None:
        """The same, but nothing wakes it, if it sleeps."""
        operand = self.model.at_exit().step.operand
        self.guest.set_data(_RELEASED, operand)
        self.model = replace(self.model, released=operand)

    def interrupt(self) -> None:
        """An interrupt for the guest."""
        self.guest.architecture.deliver_interrupt(self.guest.vm, self.guest.vcpu)
        self.change(self.model.state.sent("interrupts"))

    def move(self) -> None:
        """The guest goes on in a fresh VM, as a monitor moves one. Nothing may be pending."""
        old = self.guest
        new = self.program.new_guest(self.system, self.setting.irqchip, self.setting.features)
        try:
            new.ram.write(0, old.ram.read(0, old.ram.size))
            self.program.move(old, new)
        except BaseException:
            new.close()
            raise
        self.guest, self.log, self._owed, self._shares_pages = new, None, [], False
        self._deliveries = Deliveries(new)
        self.model = replace(self.model, masked=False)
        old.close()

    # ---- runs

    def run(
        self,
        run: Callable[[], RunResult],
        met: Circumstances,
        given: int = 0,
        *,
        refuse: bool = False,
    ) -> AllowedAnswer:
        """A KVM_RUN, held against the model; an exit is served, with bytes made of `given`.

        An exit that can be refused is, if asked for. The answer that it was. Raises `Violation`.
        """
        allowed = answers(self.model, met)
        heartbeat, kept = self.guest.heartbeat, self._not_kvms()
        reason, pending = int(self.guest.vcpu.run_page.exit_reason), self.model.pending
        result = self._deliveries.run(run)
        answer = self._answer(allowed, result, met)
        for (claim, what), value in self._not_kvms().items():
            if kept[claim, what] != value and not (met.sets_byte and what == "immediate_exit"):
                before = kept[claim, what]
                kind, of, wanted = CONTENT, None, 0
                if claim == "signals.mask_restored":
                    kind = "mask"
                elif isinstance(before, int):
                    kind, of, wanted = "is", self.guest.vcpu, before
                raise Violation(
                    claim,
                    f"{what} must stay, but went from {before} to {value}",
                    kind,
                    of,
                    circumstance=f"{self.where()}, {met.said}",
                    value=wanted,
                    names=(f"kvm_run {what}",),
                )
        if answer.exchange is None and not answer.window:
            self._require_reason(result, None if pending else reason, met)
        entered = answer.exchange is not None and answer.after is not self.model
        self._settle(answer, heartbeat, met)
        if entered:
            self._require_done(met)
        if answer.exchange and result.exit is not None:
            data = made_of(given, _MOST_BYTES) if answer.exchange.reads else None
            passed = self.program.serve(self.guest.vcpu, result.exit, data, refuse)
            self.model = self.model.exchanged(passed)
        return answer

    def owes(self, what: Owed) -> None:
        """It is asked for when KVM has entered the guest next.

        KVM shares a page with it from then on, and writes there whenever it is on its way in, or
        the thread loses the processor.
        """
        self._owed.append(what)
        self._shares_pages = True
        if what.brings:
            self.change(self.model.state.may_send(what.brings))

    @property
    def awaits_event(self) -> bool:
        """Whether an event comes at the next entry: to put back what was before would lose it."""
        return any(each.brings for each in self._owed)

    def _require_done(self, met: Circumstances) -> None:
        for each in self._owed:
            if not each.is_done():
                raise Violation(
                    each.claim, f"{self.where()}, after an entry {met.said}, {each.said}"
                )
        self._owed = []

    def _not_kvms(self) -> dict[tuple[str, str], object]:
        """What a KVM_RUN never changes, by the claim and the name of it."""
        page = self.guest.vcpu.run_page
        return {
            ("preset.not_written", "immediate_exit"): int(page.immediate_exit),
            ("preset.not_written", "request_interrupt_window"): int(page.request_interrupt_window),
            ("preset.not_written", "padding1"): bytes(page.padding1).hex(" "),
            ("signals.mask_restored", "the thread's signal mask"): sorted(thread_mask()),
        }

    def _require_reason(self, result: RunResult, before: int | None, met: Circumstances) -> None:
        """With EINTR: a signal is told by the reason for the exit; the byte leaves it alone."""
        after = result.exit_reason
        if met.byte and before is not None and after != before:
            raise Violation(
                "preset.exit_reason_untouched",
                f"exit_reason must stay {reason_name(before)}, but it is {reason_name(after)}",
                "is",
                self.guest.vcpu,
                circumstance=f"{self.where()}, {met.said}",
                value=before,
                names=("kvm_run exit_reason",),
            )
        if not met.byte and reason_name(after) != "KVM_EXIT_INTR":
            raise Violation(
                "signals.interrupts_guest",
                f"exit_reason must be KVM_EXIT_INTR, but it is {reason_name(after)}",
                "signal",
                result,
                circumstance=f"{self.where()}, {met.said}",
            )

    def _answer(
        self, allowed: Sequence[AllowedAnswer], result: RunResult, met: Circumstances
    ) -> AllowedAnswer:
        for each in allowed:
            if each.window:
                if isinstance(result.exit, IrqWindowOpen) and not result.rescue:
                    return each
            elif each.exchange:
                if result.exit and not result.rescue and each.exchange.accepts(result.exit):
                    return each
            elif result.gave_eintr:
                return each
        wanted = " or ".join(each.said for each in allowed)
        kind, value = expected_of(allowed, result)
        hangs = allowed[0].hangs if result.rescue else ""
        raise Violation(
            hangs or allowed[0].claim,
            f"KVM_RUN must {wanted}, but {result.describe()}",
            kind,
            result,
            circumstance=f"{self.where()}, {met.said}",
            value=value,
        )

    def where(self) -> str:
        """Where the guest is, for the beginning of a sentence."""
        said = f"At step {self.model.number} of a script ({_named(self.model.step)})"
        return f"{said}, which KVM has yet to complete" if self.model.pending else said

    def _settle(self, answer: AllowedAnswer, before: int, met: Circumstances) -> None:
        """The guest stands where the answer says: so many steps done, with their results."""
        done = self.guest.data(_STEPS_DONE)
        after = answer.after.at(done) if answer.runs else answer.after
        if after is None or after.total != done:
            raise Violation(
                answer.claim,
                f"the guest must have done {answer.after.total} "
                f"steps in all{' or some more' if answer.runs else ''}, but it did {done}",
                CONTENT if answer.runs else "is",
                self.guest.vcpu,
                circumstance=f"{self.where()}, {met.said}",
                value=answer.after.total,
                names=(word(at.data_word(_STEPS_DONE)),),
            )
        # Where a kick or a window found it the guest may have counted a step, and not its turn.
        same = answer.after is self.model and self.model.pending
        stays = not answer.runs and (answer.exchange is None or same)
        if stays and self.guest.heartbeat != before:
            raise Violation(
                "preset.no_guest_progress",
                f"the guest must not execute anything, but its "
                f"counter went from {before} to {self.guest.heartbeat}",
                "same",
                circumstance=f"{self.where()}, {met.said}",
                names=("heartbeat",),
            )
        if self.log:
            self.log.note(self.model, after)
        self.model = after
        self._require_log()
        self._take_events()

    def _require_log(self) -> None:
        """The log holds what the steps must have given.

        Where a script is over the guest may have begun anew, and logged a step that it has yet to
        count.
        """
        model, size = self.model, STEP_BYTES
        found = self.guest.ram.read(LOG, size * len(model.results))
        for number, result in enumerate(model.results):
            step = model.script[number]
            logged = found[size * number : size * (number + 1)]
            wanted = self.program.PROGRAM.entry(number, step, result)
            if logged != wanted and not (model.begins_anew() and number == 0):
                place = first_wrong_word(logged, wanted)
                raise Violation(
                    self._claim_of(step),
                    f"it must give {result:#x}, but the guest logged {logged.hex(' ')}",
                    "is",
                    self.guest.vcpu,
                    circumstance=f"At step {number} of a script ({_named(step)})",
                    value=int.from_bytes(wanted[place : place + 4], sys.byteorder),
                    names=(word(LOG + size * number + place),),
                )

    def _claim_of(self, step: Step) -> str:
        """What a wrong result of a step breaks."""
        first = self.model.kinds[step.name].exchange(self.model.state, step, ())
        return first.claim if first else "preset.state_untouched"

    def _take_events(self) -> None:
        """Each event was taken once at most."""
        state = self.model.state
        for kind, taken in self.program.counted(self.guest).items():
            events = state.events[kind]
            seen = events.seen(taken)
            most = events.taken + events.to_come
            if taken > most and self._deliveries.again(kind, most):
                seen = Events(taken)
            if seen is None:
                raise Violation(
                    "states.events_survive",
                    f"{self.where()}, the guest must have taken {events.taken} to "
                    f"{most} {kind}, but it took {taken}",
                )
            if taken > events.taken:
                self._deliveries.took(kind)
            state = replace(state, events={**state.events, kind: seen})
        self.change(state)

    def unmap(self) -> None:
        """KVM has unmapped the guest's pages, or may have; or lets it write to none."""
        self._deliveries.unmap()

    def log_begins(self, *, logged: bool) -> None:
        """The guest's memory was given anew, logged or not; or its log was read."""
        self.unmap()
        self.log = DirtyLog(self.model, self._logs_to) if logged else None

    def _logs_to(self, model: ModelVcpu) -> Sequence[int]:
        return (LOG + STEP_BYTES * model.number,)

    # ---- the state

    def require_unmoved(self, circumstance: str) -> None:
        """The guest stands where it stood. Raises `Violation`."""
        done = self.guest.data(_STEPS_DONE)
        if done != self.model.total:
            raise Violation(
                "preset.no_guest_progress",
                f"{self.where()}, {circumstance}, the guest must not go on, but it did "
                f"{done - self.model.total} steps",
            )

    def require_same(
        self, before: WholeState, circumstance: str, may_change: Collection[str], claim: str
    ) -> None:
        """Nothing has changed that KVM lets userspace read, but these names. Raises `Violation`."""
        without = {*may_change, *(["memory"] if self._shares_pages else [])}
        now = self.guest.whole()
        found = before.differences(now, without=without)
        if found:
            raise Violation(
                claim,
                f"the state must stay, but {told(found)}",
                "same",
                before,
                circumstance=f"{self.where()}, {circumstance}",
                names=before.changed(now, without),
            )


@functools.lru_cache(maxsize=1)
def lacking(system: System) -> frozenset[str]:
    """Steps, operations and "refuse" that this KVM cannot do: it says KVM_EXIT_INTERNAL_ERROR."""
    found: set[str] = set()
    program = arch.current()
    for name in program.MAY_LACK:
        script = program.trying(name)
        with Subject(system, Setting(), script) as subject:
            for _ in script:
                answer = subject.guest.vcpu.run_raw().exit
                if isinstance(answer, InternalError):
                    found.update(program.left_out(name, answer))
    return frozenset(found)


def _named(step: Step) -> str:
    return f"{step.name} {step.operand:#x} {step.value:#x}"


def made_of(value: int, length: int) -> bytes:
    """So many bytes of an answer, others for another value."""
    return (value.to_bytes(8, sys.byteorder) * (length // 8 + 1))[:length]
