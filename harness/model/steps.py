# SPDX-License-Identifier: GPL-2.0-only
"""Steps of the program `script` that every architecture has, and how a script stands in memory."""

from __future__ import annotations

import functools
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from harness.model.program import MASK, GuestState, Passed, Step, StepKind, StepResult

#: Offsets from where guest RAM lies, in each source of the program.
LOG, SCRATCH, SCRIPT = 0x50000, 0x60000, 0x68000
_STEP = struct.Struct("=IIQ")  # in the byte order of the host, which is the guest's
STEP_BYTES = _STEP.size
_MULTIPLIER = 6364136223846793005
#: In each of the four parts of SCRATCH, which are pages where these are small.
SCRATCH_OPERANDS = tuple(part << 12 | offset for part in range(4) for offset in (0, 8, 0xFF8))


@dataclass(frozen=True)
class ScriptProgram:
    """An architecture's program `script`.

    `steps` and `places` are in the order of its source's tables; `first_state` is before it begins.
    `held` has the bits that a place can hold where these are not all, `stored` where a step stores
    besides the log and SCRATCH. `left_out` are steps that cannot be done here.
    """

    steps: Mapping[str, StepKind]
    places: Sequence[str]
    first_state: GuestState
    held: Mapping[str, int] = field(default_factory=dict)
    stored: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()

    @functools.cached_property
    def _numbers(self) -> Mapping[str, int]:
        return {name: number for number, name in enumerate(self.steps)}

    def encode(self, script: Sequence[Step]) -> bytes:
        """The script as it stands in the guest's memory."""
        packed = (_STEP.pack(self._numbers[s.name], s.operand, s.value) for s in script)
        return b"".join(packed)

    def entry(self, place: int, step: Step, result: int) -> bytes:
        """What the program writes into its log for a step."""
        return _STEP.pack(place, self._numbers[step.name], result)

    def held_bits(self, place: str) -> int:
        """The bits that a place can hold."""
        return self.held.get(place, MASK)

    def kept(self, step: Step) -> Step:
        """The step with a value that its place can hold."""
        if step.name != "put":
            return step
        return replace(step, value=step.value & self.held_bits(self.places[step.operand]))

    def stores(self, step: Step) -> Sequence[int]:
        """Addresses in the guest's memory that the step stores to, besides the log."""
        if step.name in ("store", "exchange_add"):
            return (SCRATCH + step.operand,)
        return self.stored.get(step.name, ())


def nothing(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state, 0


def compute(state: GuestState, step: Step, passed: Passed) -> StepResult:
    value = (state.accumulator * _MULTIPLIER + step.value) & MASK
    return replace(state, accumulator=value), value


def store(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return replace(state, memory={**state.memory, step.operand: step.value}), 0


def load(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state, state.memory.get(step.operand, 0)


def exchange_add(state: GuestState, step: Step, passed: Passed) -> StepResult:
    before = state.memory.get(step.operand, 0)
    return store(state, replace(step, value=(before + step.value) & MASK), passed)[0], before


def put(places: Sequence[str]) -> Callable[[GuestState, Step, Passed], StepResult]:
    """A value to the place that the operand names."""

    def end(state: GuestState, step: Step, passed: Passed) -> StepResult:
        return replace(state, places={**state.places, places[step.operand]: step.value}), 0

    return end


def get(places: Sequence[str]) -> Callable[[GuestState, Step, Passed], StepResult]:
    """What is in the place that the operand names."""
    return lambda state, step, passed: (state, state.places.get(places[step.operand], 0))


def flags(on: int) -> Callable[[GuestState, Step, Passed], StepResult]:
    """Whether interrupts may be taken: this number if so, else 0."""
    return lambda state, step, passed: (state, on if state.interrupts_on else 0)


def interrupts_on(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return replace(state, interrupts_on=True), 0


def interrupts_off(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return replace(state, interrupts_on=False), 0


def self_interrupt(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state.sent("interrupts"), 0


def end_call(state: GuestState, step: Step, passed: Passed) -> StepResult:
    """Of a call that is told two values the first less the second: that with each bit turned."""
    value = int.from_bytes(passed[0], sys.byteorder)
    return state, (value - (value ^ MASK)) & MASK
