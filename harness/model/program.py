# SPDX-License-Identifier: GPL-2.0-only
"""The guest's program `script` as a pure function: what each step does, and by which exits.

Which steps there are is the architecture's; here is what one is. All numbers are 64 bits wide.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.kvm.exits import VcpuExit

MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Step:
    """One step of a script: its name, an operand of 32 bits and a value."""

    name: str
    operand: int = 0
    value: int = 0


@dataclass(frozen=True)
class Events:
    """Events of one kind that the guest takes: how many it took, and may still take.

    `to_come` is the most that may come: the second of two may be one with the first. `certain`:
    one must come, as soon as it may be taken. When exactly is not promised: a KVM that interprets
    its guest looks now and then.
    """

    taken: int = 0
    to_come: int = 0
    certain: bool = False

    def another(self) -> Events:
        """One more was sent."""
        return replace(self, to_come=self.to_come + 1, certain=True)

    def seen(self, taken: int) -> Events | None:
        """The guest took so many by now; None if it cannot have."""
        new = taken - self.taken
        if not 0 <= new <= self.to_come:
            return None
        return Events(taken, self.to_come - new, self.certain and not new)


@dataclass(frozen=True)
class GuestState:
    """What the program's steps depend on, and change.

    `memory` and `places` are values by address and by name, 0 where nothing was put; `string` are
    the bytes that string steps read and write; `interrupts_on` whether interrupts may be taken;
    `events` those of each kind that the architecture counts, `interrupts` among them.
    """

    accumulator: int = 0
    memory: Mapping[int, int] = field(default_factory=dict)
    places: Mapping[str, int] = field(default_factory=dict)
    string: bytes = b""
    interrupts_on: bool = False
    events: Mapping[str, Events] = field(default_factory=dict)

    def sent(self, kind: str) -> GuestState:
        """One more event of a kind is on its way."""
        return replace(self, events={**self.events, kind: self.events[kind].another()})

    def may_send(self, kind: str) -> GuestState:
        """One more may be on its way, now or later."""
        events = self.events[kind]
        more = replace(events, to_come=events.to_come + 1)
        return replace(self, events={**self.events, kind: more})


@dataclass(frozen=True)
class Exchange:
    """An exit by which a step speaks with userspace.

    `said` names it in a sentence, `claim` is what holds KVM to it. `exit` is it, where KVM lets all
    pass at once; `accepts` tells it, and what else is allowed, from others; `reads` when userspace
    must give as many bytes as the exit asks for. `at_once`: the KVM_RUN that completes the exchange
    before it brings this one, whatever else would end that run: True, False, or None where KVM may
    do either.
    """

    said: str
    claim: str
    exit: VcpuExit
    accepts: Callable[[VcpuExit], bool]
    reads: bool = False
    at_once: bool | None = False


#: What has passed in a step so far: for each exchange the bytes told, or given.
Passed = tuple[bytes, ...]
#: The state after a step, and what stands in the log of it.
StepResult = tuple[GuestState, int]


def _silent(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    return None


@dataclass(frozen=True)
class StepKind:
    """One kind of step.

    `end` gives the state after it and the result that stands in the log; `exchange` what comes
    next, None once all has passed. `operands` are those that may be drawn, `needs` names what a VM
    must have, `weight` how often it is drawn beside others. It is `interruptible`, if it turns
    interrupts on for a while. It `waits` until userspace lets it go on; if it `sleeps`, halted and
    for interrupts. If it `traps`, an exception comes behind its exchange.
    """

    end: Callable[[GuestState, Step, Passed], StepResult]
    exchange: Callable[[GuestState, Step, Passed], Exchange | None] = _silent
    operands: Sequence[int] = (0,)
    needs: str = ""
    weight: int = 1
    interruptible: bool = False
    waits: bool = False
    sleeps: bool = False
    traps: bool = False
    last: bool = False
