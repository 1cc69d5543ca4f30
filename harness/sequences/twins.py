# SPDX-License-Identifier: GPL-2.0-only
"""Another guest beside the sequence's, in any mode, whose twin nobody disturbs.

No model says what its program does. It is deterministic: whatever userspace does to the one, its
exits must be those of the twin, which was run by plain KVM_RUNs only, and so must its memory be and
its registers in the end.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from guest_blobs import memory_map as at
from harness.kvm import exits
from harness.kvm.abi import KvmError
from harness.kvm.arch import word_of
from harness.kvm.exits import Io, VcpuExit
from harness.kvm.guest import Guest
from harness.kvm.run import RunResult
from harness.kvm.signals import KICK, CountingHandler, ThreadTimer
from harness.kvm.speech import Word
from harness.kvm.system import System
from harness.kvm.whole import told
from harness.sequences import arch
from harness.sequences.operation import AnyNumber, Arguments, Domain, OneOf, Operation
from harness.sequences.other_guest import OtherGuest, in_turn, leaves
from harness.sequences.subject import Subject
from harness.ways import BYTE, SIGNAL, WayOut

_ANSWERS = bytes(place * 37 + 11 & 0xFF for place in range(256)) * 17  # 4,096 bytes from any place
_SOON_NS = 30_000  # about what a guest needs for some exits
_GOOD_FOR_NOTHING = (exits.Shutdown, exits.InternalError, exits.FailEntry, exits.Unknown)


@dataclass(frozen=True)
class TwinProgram:
    """A program of guest_blobs, with its `data` words, up to so many exits; of strings, items.

    `prepare` gives the guest what it needs besides, and data words of its own; it raises `KvmError`
    where this KVM has it not. Where that does not tell it is `probed`: with the stop word set the
    guest leaves by the exit at hand, or by its end. `irqchips` are those with which it does the
    same; `claim` is what holds KVM to it. It may be `moved` to another VM, and its state
    `rewritten`: read and set again. `unsettled` are parts of the memory, from and to, of which it
    knows nothing. `later` are data words that are set once so many exits came.
    """

    blob: str
    mode: str
    exits: int
    data: Mapping[int, int] = field(default_factory=dict)
    prepare: Callable[[Guest], Mapping[int, int]] = lambda guest: {}
    probed: bool = False
    irqchips: tuple[str, ...] = ()
    claim: str = "completion.exactly_once"
    moved: bool = True
    rewritten: bool = True
    unsettled: tuple[tuple[int, int], ...] = ()
    later: Mapping[int, Mapping[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Undisturbed:
    """What came of plain runs: its exits, one item each; its memory and registers at the last."""

    exits: tuple[VcpuExit, ...]
    memory: bytes
    registers: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Others:
    """The other guests that an architecture has: programs by name, and what may be done to them.

    `disturbances` come besides those below. `place` puts what serves an event that a program knows
    nothing of into its memory; `require` raises `Violation` where such events were not taken as
    often as they were sent.
    """

    programs: Mapping[str, TwinProgram]
    disturbances: tuple[Callable[[Twin], object], ...]
    place: Callable[[Guest], None]
    require: Callable[[Twin], None]


class Twin(OtherGuest):
    """One guest of a program, under way to so many exits."""

    def __init__(
        self, system: System, others: Others, name: str, irqchip: str, said: str = ""
    ) -> None:
        """Raises `KvmError`."""
        self.program, self._place = others.programs[name], others.place
        super().__init__(system, irqchip, said, self.program.claim)
        self.seen: list[VcpuExit] = []
        self.sent = 0  # events that the program knows nothing of
        self._wanted: Undisturbed | None = None
        self._asked: VcpuExit | None = None

    def load(self, guest: Guest) -> None:
        guest.load(self.program.blob, self.program.mode, self.program.data)
        for index, value in self.program.prepare(guest).items():
            guest.set_data(index, value)
        self._place(guest)

    def over(self) -> bool:
        """Whether the last of its exits has come."""
        return len(self.seen) >= self.program.exits

    # ---- runs

    def take(self, result: RunResult) -> None:
        """An exit has come: it must be the twin's, and is answered."""
        found = result.exit
        if found is None or result.rescue:
            raise self.broken(f"KVM_RUN must bring the next exit, but {result.describe()}")
        for item in _items(found):
            number = len(self.seen)
            wanted = self._wanted.exits[number : number + 1] if self._wanted else (item,)
            if (item,) != wanted:
                other = wanted[0] if wanted else "none that it came to"
                raise self.broken(
                    f"exit {number} must be {other}, as where nobody disturbs the guest, but it is "
                    f"{item}"
                )
            self.seen.append(item)
        self._asked = found

    def serve(self) -> None:
        """The exit that has come is answered, by how many there were."""
        found, self._asked = self._asked, None
        if found is None:
            return
        for index, value in self.program.later.get(len(self.seen), {}).items():
            self.guest.set_data(index, value)
        first = len(self.seen) - len(_items(found))
        given = _ANSWERS[first & 0xFF :]
        writes = getattr(found, "is_write", False)
        arch.current().serve(self.guest.vcpu, found, None if writes else given, refuse=False)

    def run(self) -> None:
        """A plain one, to the next exit."""
        self.serve()
        self.take(self.guest.vcpu.run_raw())

    def leave(self, way: WayOut, times: int = 1) -> None:
        """Runs that end early, or complete an exit by the next of the same instruction."""
        for _ in range(times):
            if self.over():
                return
            self._leave(way)

    def settle(self) -> bool:
        """Nothing is pending any more; False where its last exit came meanwhile."""
        while not self.over():
            if self._leave(BYTE):
                return True
        return False

    def _leave(self, way: WayOut) -> bool:
        """One of them; False where it brought an exit."""
        self.serve()
        before = self._mailbox()
        result = way.run(self.guest)
        if not result.gave_eintr:
            self.take(result)
        # Behind each exit a program tells what it has come to.
        if self._mailbox() != before:
            raise self.broken(
                f"KVM_RUN{way.said} must not let the guest go on, but its words in memory changed, "
                f"and {result.describe()}",
                "preset.no_guest_progress",
            )
        return result.gave_eintr

    def _mailbox(self) -> bytes:
        return self.guest.ram.read(at.MAILBOX, at.MAILBOX_SIZE)

    # ---- what is held against the twin

    def follow(self, wanted: Undisturbed) -> None:
        """Its exits are to be those of this one."""
        self._wanted = wanted

    def undisturbed(self) -> Undisturbed:
        """What it came to."""
        registers = self.guest.architecture.registers(self.guest.vcpu)
        return Undisturbed(tuple(self.seen), self._memory(), registers)

    def _memory(self) -> bytes:
        memory = bytearray(self.guest.ram.read(0, self.guest.ram.size))
        for start, end in self.program.unsettled:
            memory[start:end] = bytes(end - start)
        return bytes(memory)

    def require_same_end(self, wanted: Undisturbed) -> None:
        """Raises `Violation`."""
        found = self.undisturbed()
        differs = [
            f"{name} is {found.registers[name]:#x} and not {value:#x}"
            for name, value in wanted.registers.items()
            if found.registers[name] != value
        ]
        if found.memory != wanted.memory:
            place = next(n for n, one in enumerate(found.memory) if one != wanted.memory[n])
            differs.append(f"the memory differs, first at {place:#x}")
        if differs:
            raise self.broken(
                f"at exit {self.program.exits - 1} registers and memory must be as where nobody "
                f"disturbs the guest, but {told(differs)}"
            )

    def leave_as_it_was(self) -> None:
        if self.settle():
            super().leave_as_it_was()

    def move(self) -> None:
        if self.program.moved and self.settle():
            super().move()

    def step_and_leave(self) -> None:
        if self.settle():
            super().step_and_leave()

    def kick(self) -> None:
        """A signal comes at some moment on the way to an exit, or behind it."""
        if self.over():
            return
        self.serve()
        tid = threading.get_native_id()
        with CountingHandler(KICK), ThreadTimer(KICK, tid, _SOON_NS):
            result = self.guest.vcpu.run_raw()
        if not result.gave_eintr:
            self.take(result)


def _items(found: VcpuExit) -> Sequence[VcpuExit]:
    """How many of a string's items pass in an exit is for KVM to say."""
    if not isinstance(found, Io) or found.count == 1:
        return (found,)
    size, data = found.size, found.data
    return [
        replace(found, count=1, data=data[place * size : (place + 1) * size])
        for place in range(found.count)
    ]


def _remaps(*, logged: bool) -> Callable[[Twin], object]:
    return lambda twin: twin.remap(logged=logged)


#: What is done behind an exit, by its number; those of the architecture follow.
DISTURBANCES: tuple[Callable[[Twin], object], ...] = (
    in_turn(),
    leaves(BYTE),
    leaves(SIGNAL),
    leaves(BYTE, 20),
    in_turn(leaves(SIGNAL), leaves(BYTE)),
    in_turn(leaves(BYTE), leaves(SIGNAL, 2)),
    Twin.leave_as_it_was,
    Twin.move,
    _remaps(logged=False),
    _remaps(logged=True),
    Twin.step_and_leave,
    Twin.kick,
    in_turn(Twin.settle, _remaps(logged=True), leaves(BYTE)),
)


def _leaves_by_itself(system: System, others: Others, name: str, irqchip: str) -> bool:
    """The capability alone does not tell: some KVM offers an exit and has it not."""
    with Twin(system, others, name, irqchip) as probe:
        probe.guest.stop()
        return word_of(probe.guest.vcpu.run().exit) is not Word.DONE


@functools.lru_cache(maxsize=256)
def undisturbed(system: System, others: Others, name: str, irqchip: str) -> Undisturbed | None:
    """What comes of plain runs; None where this KVM has not what the program needs."""
    try:
        if others.programs[name].probed and not _leaves_by_itself(system, others, name, irqchip):
            return None
        with Twin(system, others, name, irqchip) as twin:
            while not twin.over():
                twin.serve()
                result = twin.guest.vcpu.run_raw()
                if result.rescue or isinstance(result.exit, (type(None), *_GOOD_FOR_NOTHING)):
                    return None
                twin.take(result)
            return twin.undisturbed()
    except KvmError:
        return None


def twin(others: Others, subject: Subject, given: Arguments) -> None:
    """`disturbances` has one in four bits, for each exit. Nothing where KVM lacks the program."""
    name, irqchip = given["program"], given["irqchip"]
    program = others.programs[name]
    if program.irqchips and irqchip not in program.irqchips:
        irqchip = program.irqchips[0]
    wanted = undisturbed(subject.system, others, name, irqchip)
    if wanted is None:
        return
    what = (*DISTURBANCES, *others.disturbances)
    number = given["disturbances"]
    said = f"In a guest of its own ({name}, irqchip {irqchip})"
    with Twin(subject.system, others, name, irqchip, said) as disturbed:
        disturbed.follow(wanted)
        while not disturbed.over():
            disturbed.run()
            chosen, number = number & 15, number >> 4 | (number & 15) << 60
            if not disturbed.over() and chosen < len(what):
                what[chosen](disturbed)
        disturbed.require_same_end(wanted)
        others.require(disturbed)


def operation(others: Others, irqchips: Sequence[str]) -> Operation:
    """For an architecture's table."""
    drawn: Mapping[str, Domain] = {
        "program": OneOf(tuple(others.programs)),
        "irqchip": OneOf(tuple(irqchips)),
        "disturbances": AnyNumber(),
    }
    return Operation(functools.partial(twin, others), arguments=drawn, weight=6)
