# SPDX-License-Identifier: GPL-2.0-only
"""Steps of the program `script` that every architecture has, and how a script stands in memory."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from harness.model.program import MASK, GuestState, Passed, Step, StepResult

#: Offsets from where guest RAM lies, in each source of the program.
LOG, SCRATCH, SCRIPT = 0x50000, 0x60000, 0x68000
_STEP = struct.Struct("<IIQ")  # each guest is little-endian
STEP_BYTES = _STEP.size
_MULTIPLIER = 6364136223846793005
_PAGE = 0x1000
#: In each of the four pages of SCRATCH.
SCRATCH_OPERANDS = tuple(page * _PAGE + offset for page in range(4) for offset in (0, 8, 0xFF8))


def encode(numbers: Mapping[str, int], script: Sequence[Step]) -> bytes:
    """A script as it stands in the guest's memory; `numbers` are the steps' in the source."""
    return b"".join(_STEP.pack(numbers[each.name], each.operand, each.value) for each in script)


def entry(numbers: Mapping[str, int], place: int, step: Step, result: int) -> bytes:
    """What the program writes into its log for a step."""
    return _STEP.pack(place, numbers[step.name], result)


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
