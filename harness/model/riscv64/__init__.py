# SPDX-License-Identifier: GPL-2.0-only
"""The steps of guest_blobs/riscv64/script.S."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.kvm.exits import RiscvSbi
from harness.model import mmio_steps, steps
from harness.model.program import (
    Events,
    Exchange,
    GuestState,
    Passed,
    Step,
    StepKind,
    StepResult,
)
from harness.model.steps import ScriptProgram, nothing

#: Of the SBI's experimental extensions, which KVM has none of, and forwards each call.
EXTENSION, FUNCTION = 0x08000000, 5
# Causes of exceptions (privileged specification, table of scause).
_ILLEGAL, _BREAKPOINT, _LOAD_FAULT, _STORE_FAULT = 2, 3, 13, 15

DOUBLES = tuple(f"f{number}" for number in range(32))
GENERAL = ("gp", "tp", "s7", "s8", "s9", "s10", "t3", "t4", "t5", "t6")
PLACES = (*DOUBLES, *GENERAL)


def _call(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    """The value is its first argument; what it is answered comes with the completion."""
    if passed:
        return None

    def accepts(found: object) -> bool:
        return isinstance(found, RiscvSbi) and (
            (found.extension, found.function, found.arguments[0])
            == (EXTENSION, FUNCTION, step.value)
        )

    wanted = RiscvSbi(EXTENSION, FUNCTION, (step.value, *(0,) * 5))
    said = f"a call of the SBI with {step.value:#x}"
    return Exchange(said, "completion.hypercall", wanted, accepts, reads=True)


def _raises(cause: int) -> Callable[[GuestState, Step, Passed], StepResult]:
    return lambda state, step, passed: (state, cause)


_PLACE_OPERANDS = tuple(range(len(PLACES)))
_FAULT_OPERANDS = (0, 0x1FF8)

#: In the order of the source's table.
STEPS: Mapping[str, StepKind] = {
    **mmio_steps.FIRST_STEPS,
    "mmio_read_signed": StepKind(
        mmio_steps.end_read_signed, mmio_steps.read, operands=mmio_steps.NARROW_OPERANDS
    ),
    "call": StepKind(steps.end_call, _call, weight=2),
    "put": StepKind(steps.put(PLACES), operands=_PLACE_OPERANDS, weight=2),
    "get": StepKind(steps.get(PLACES), operands=_PLACE_OPERANDS, weight=2),
    "flags": StepKind(steps.flags(1)),
    "interrupts_on": StepKind(steps.interrupts_on, weight=3),
    "interrupts_off": StepKind(steps.interrupts_off),
    "undefined": StepKind(_raises(_ILLEGAL)),
    "breakpoint": StepKind(_raises(_BREAKPOINT)),
    "load_fault": StepKind(_raises(_LOAD_FAULT), operands=_FAULT_OPERANDS),
    "page_fault": StepKind(_raises(_STORE_FAULT), operands=_FAULT_OPERANDS),
    "wait": StepKind(nothing, weight=3, waits=True),
    "sleep": StepKind(
        nothing, needs="irqchip", weight=3, waits=True, sleeps=True, interruptible=True
    ),
}

PROGRAM = ScriptProgram(
    STEPS,
    PLACES,
    GuestState(events={"interrupts": Events()}),
)
