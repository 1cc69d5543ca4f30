# SPDX-License-Identifier: GPL-2.0-only
"""Another guest beside the sequence's, in any mode, that counts the events which it takes.

Whatever userspace does in between: of what was sent of a kind it takes one at least, for the second
of two may be one with the first, and no more than were sent.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable

from harness.host import pace
from harness.kvm.abi import KvmError
from harness.kvm.arch import NoNestedGuestError
from harness.kvm.arch.x86_64 import ioctls, kept, pending, pic, routing, run_fields, state
from harness.kvm.exits import IoapicEoi
from harness.kvm.guest import Guest
from harness.kvm.run import RunResult
from harness.kvm.running import NotSeenError, Running, warm_up
from harness.kvm.signals import KICK, CountingHandler
from harness.kvm.system import System
from harness.sequences.arch.x86_64 import smis
from harness.sequences.deliveries import Deliveries
from harness.sequences.operation import Arguments
from harness.sequences.other_guest import OtherGuest, in_turn, leaves
from harness.sequences.subject import Subject
from harness.sequences.violation import Violation
from harness.ways import BYTE, SIGNAL, WayOut

_CLAIM = "states.events_survive"
_INTERRUPTS, _NMIS, _EXCEPTIONS, _SMIS = "interrupts", "NMIs", "exceptions", "SMIs"
_WORDS = {_NMIS: 2, _EXCEPTIONS: 6, _SMIS: smis.COUNT}  # data words of the programs
_INVALID_OPCODE = 6
_TIMER_NS = 2_000_000
_PIN = 5
NESTED = "nested"
MODES = ("real", "protected", "long", NESTED)
_LEAVES_EACH_TURN = 4  # a data word of nested_svm


class TookMore(Violation):
    """An event came more often than it was sent."""


class Counting(OtherGuest):
    """A guest in the program `events`, which runs already.

    Or, nested, one that executes a guest of its own and takes interrupts only.
    """

    def __init__(self, system: System, mode: str, irqchip: str) -> None:
        """Raises `KvmError`."""
        self.mode = mode
        said = f"In a guest of its own ({mode} mode, irqchip {irqchip})"
        super().__init__(system, irqchip, said, _CLAIM)
        self._deliveries = Deliveries(self.guest)
        self._sent: Counter[str] = Counter()
        self._due: Counter[str] = Counter()  # more than so many must have come
        self._of_this_vm = False  # something waits that no monitor takes to another VM
        if irqchip != "none":
            pic.let_through(self.guest.vcpu)
        warm_up(self.guest)

    def load(self, guest: Guest) -> None:
        data = {0: int(self.irqchip != "none")}
        if self.mode == NESTED:
            guest.load(guest.architecture.nested_program(), "long", data)
        else:
            guest.load("events", self.mode, data)
            smis.serve(guest)

    def taken(self) -> Counter[str]:
        """How many of each kind the guest took."""
        found = Counter({_INTERRUPTS: self.guest.ticks})
        if self.mode != NESTED:
            found.update({kind: self.guest.data(word) for kind, word in _WORDS.items()})
        return found

    # ---- runs

    def _run(self, run: Callable[[], RunResult]) -> RunResult:
        before = self.taken()
        result = self._deliveries.run(run)
        for kind, taken in self.taken().items():
            most = self._sent[kind]
            if taken > most:
                if not self._again(kind, most):
                    text = f"the guest must take {most} {kind} at most, but took {taken}"
                    raise self.broken(text, of=TookMore)
                self._sent[kind] = taken  # those are accounted for
            if taken > before[kind]:
                self._deliveries.took(kind)
        return result

    def leave(self, way: WayOut, times: int = 1) -> None:
        """Runs that end early."""
        for _ in range(times):
            before = self.taken()
            result = self._run(lambda: way.run(self.guest))
            if not result.gave_eintr:
                raise self.broken(f"KVM_RUN must end{way.said}, but {result.describe()}")
            if self.taken() != before:
                raise self.broken(
                    f"KVM_RUN{way.said} must not enter the guest, but that took an event",
                    "preset.no_guest_progress",
                )

    def run_until(self, came: Callable[[], bool], what: str) -> None:
        """The guest runs until this is so, and a kick ends the run."""

        def run() -> RunResult:
            with CountingHandler(KICK), Running(self.guest) as running:
                running.wait_for_progress()
                running.wait_until(came, what)
                running.kick(KICK)
                return running.outcome()

        try:
            result = self._run(run)
        except NotSeenError as error:
            raise self.broken(f"{error}") from None
        if not result.gave_eintr:
            raise self.broken(f"a kick must end KVM_RUN with EINTR, but {result.describe()}")

    def run(self) -> None:
        """Until a kick."""
        self.run_until(lambda: True, "the guest to run")

    def require_all_taken(self) -> None:
        """Raises `Violation`."""

        def came() -> bool:
            taken = self.taken()
            return all(taken[kind] > number for kind, number in self._due.items())

        self.run_until(came, f"the guest to take {', '.join(self._sent) or 'nothing'}")

    def _again(self, kind: str, most: int) -> bool:
        """Whether an emulated processor may have delivered one anew; KVM counts interrupts only."""
        if kind != _INTERRUPTS or self.mode == NESTED:
            return pace.here().takes_turns
        return self._deliveries.again(kind, most)

    # ---- what is sent

    def _send(self, kind: str) -> None:
        """One is on its way: it comes, be it as one with another that waits."""
        self._due[kind] = self.taken()[kind]
        self._sent[kind] += 1

    def interrupt(self) -> None:
        """By an MSI, or by KVM_INTERRUPT where the guest is ready for it, as kvm_run says."""
        vcpu = self.guest.vcpu
        ready = run_fields.at_boundary(ioctls.get_events(vcpu))
        ready = ready and run_fields.takes_interrupts(vcpu) and self.mode != NESTED
        if self.irqchip == "none" and not ready:
            return
        self.guest.architecture.deliver_interrupt(self.guest.vm, self.guest.vcpu)
        self._send(_INTERRUPTS)

    def external_interrupt(self) -> None:
        """Past the local APIC's registers: by the PIC, or by KVM_INTERRUPT where it has a place."""
        guest, vector = self.guest, ioctls.INTERRUPT_VECTOR
        if self.irqchip == "none" or (self.irqchip == "split" and self._of_this_vm):
            return
        with contextlib.suppress(KvmError):
            if self.irqchip == "split":
                guest.vcpu.interrupt(vector)
            else:
                pic.raise_interrupt(guest.vm, vector)
            self._send(_INTERRUPTS)
            self._of_this_vm = True

    def nmi(self) -> None:
        """KVM_NMI. In protected mode the program takes one only."""
        if self.mode == NESTED or (self.mode == "protected" and self._sent[_NMIS]):
            return
        ioctls.nmi(self.guest.vcpu)
        self._send(_NMIS)

    def smi(self) -> None:
        """KVM_SMI, where there is one."""
        if self.mode != NESTED and smis.send(self.guest):
            self._send(_SMIS)

    def exception(self) -> None:
        """One on its way in, where nothing else is: no processor brings two."""
        events = ioctls.get_events(self.guest.vcpu)
        exception = events.exception
        taken = events.interrupt.injected or events.nmi.injected or events.smi.smm
        if self.mode == NESTED or taken or exception.injected or exception.pending:
            return
        fields = {"injected": 1, "nr": _INVALID_OPCODE, "has_error_code": 0}
        pending.change_events(
            self.guest.vcpu, {f"exception.{name}": value for name, value in fields.items()}
        )
        self._send(_EXCEPTIONS)

    def timer(self) -> None:
        """The local APIC's, whose interrupt comes behind immediate runs.

        At once: it is in no state that could be put back. And then it is off, for KVM_SET_LAPIC
        starts one that is over once more, for no time at all.
        """
        if self.irqchip == "none":
            return
        ticks = self.guest.ticks
        ioctls.change_lapic(
            self.guest.vcpu,
            {
                state.TIMER_VECTOR: ioctls.INTERRUPT_VECTOR,
                state.TIMER_DIVISOR: state.DIVIDE_BY_ONE,
                state.TIMER_INITIAL: _TIMER_NS,
                state.TIMER_CURRENT: _TIMER_NS,
            },
        )
        self._send(_INTERRUPTS)
        self.leave(BYTE, 3)
        self.run_until(lambda: self.guest.ticks != ticks, "the guest to take its timer's interrupt")
        ioctls.change_lapic(self.guest.vcpu, {state.TIMER_INITIAL: 0, state.TIMER_CURRENT: 0})

    def level_interrupt(self) -> None:
        """One whose end userspace's I/O APIC is told of, once the route to it has changed.

        KVM owes the vCPU to look at the routes anew when it enters it.
        """
        vm, vcpu, vector = self.guest.vm, self.guest.vcpu, ioctls.INTERRUPT_VECTOR
        if self.irqchip != "split" or self.mode == NESTED:
            return
        routing.route_level_interrupt(vm, _PIN, vector)
        self.leave(BYTE, 2)
        self.interrupt()
        result = self._run(vcpu.run_raw)
        if not (isinstance(result.exit, IoapicEoi) and result.exit.vector == vector):
            raise self.broken(
                "the end of an interrupt whose route is level-triggered must be told by "
                f"KVM_EXIT_IOAPIC_EOI, but {result.describe()}",
                "preset.requests_kept",
            )
        routing.route_nothing(vm)

    # ---- what userspace does besides

    def move(self) -> None:
        """Where all that waits goes with it."""
        if self._of_this_vm:
            return
        super().move()
        self._deliveries = Deliveries(self.guest)

    def remap(self, *, logged: bool) -> None:
        super().remap(logged=logged)
        self._deliveries.unmap()

    def rewrite(self) -> None:
        """All that KVM says of the vCPU is set again."""
        if self.mode == NESTED:  # in its place: the guest's guest stays, or leaves each turn
            self.guest.set_data(_LEAVES_EACH_TURN, 1 - self.guest.data(_LEAVES_EACH_TURN))
        else:
            kept.rewrite(self.guest.vcpu)


def _remaps(guest: Counting) -> None:
    guest.remap(logged=True)


#: What is sent, by its number.
_SENT: tuple[Callable[[Counting], None], ...] = (
    lambda guest: None,
    Counting.interrupt,
    Counting.external_interrupt,
    Counting.nmi,
    Counting.smi,
    Counting.exception,
    Counting.timer,
    Counting.level_interrupt,
)
#: And what is then done.
_DONE: tuple[Callable[[Counting], None], ...] = (
    leaves(BYTE),
    leaves(SIGNAL),
    leaves(BYTE, 20),
    Counting.leave_as_it_was,
    Counting.run,
    Counting.move,
    _remaps,
    Counting.rewrite,
    Counting.step_and_leave,
    in_turn(Counting.rewrite, leaves(BYTE)),
    in_turn(_remaps, leaves(BYTE)),
    in_turn(leaves(BYTE), Counting.move),
    in_turn(leaves(SIGNAL), Counting.move),
    in_turn(leaves(SIGNAL), leaves(BYTE)),
    in_turn(leaves(SIGNAL), Counting.leave_as_it_was),
    lambda guest: None,
)
_TURNS = 4
_AGAIN = 3  # times, of which one must show it


def events_beside(subject: Subject, given: Arguments) -> None:
    """`done` has turns of eight bits: what is sent, and then done; up to the last that is not 0.

    An emulated processor may be what delivers one twice, one of a thousand: also where KVM injects
    it a second time, so that no count tells. A KVM that does so does it again.
    """
    try:
        _play(subject, given)
    except TookMore:
        if not pace.here().takes_turns:
            raise
        for _ in range(_AGAIN):
            _play(subject, given)


def _play(subject: Subject, given: Arguments) -> None:
    try:
        guest = Counting(subject.system, given["mode"], given["irqchip"])
    except NoNestedGuestError:
        return
    with guest:
        number: int = given["done"]
        for _ in range(_TURNS):
            if not number:
                break
            _SENT[number & 7](guest)
            _DONE[number >> 4 & 15](guest)
            number >>= 8
        guest.require_all_taken()
