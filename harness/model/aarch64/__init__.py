# SPDX-License-Identifier: GPL-2.0-only
"""The steps of guest_blobs/aarch64/script.S."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from harness.kvm.exits import Hypercall
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

#: What a VM must have for the step `call`, and the call: a fast one to an OEM's service.
CALL_EXITS, CALL = "call_exits", 0xC300_0100
_UNMAPPED = 0x40000000
_STORED = 1 << 6  # of a data abort's syndrome
# Classes of exceptions in ESR_EL1 (Arm DDI 0487).
_UNDEFINED, _SVC, _DATA_ABORT, _BRK = 0x00, 0x15, 0x25, 0x3C

VECTORS = tuple(f"v{number}" for number in range(32))
GENERAL = ("x13", "x14", "x15", "x16", "x17", "x18", "x26", "x29")
SYSTEM = (
    *("tpidr_el0", "tpidrro_el0", "tpidr_el1", "contextidr_el1"),
    *("dbgbvr0_el1", "dbgbvr1_el1"),
)
PLACES = (*VECTORS, *GENERAL, *SYSTEM, "fpsr")
# Of a value that is put there these bits are kept: an address of an instruction; QC and the
# cumulative flags, for no processor has to have the others.
_KEPT = {
    "contextidr_el1": (1 << 32) - 1,
    "dbgbvr0_el1": (1 << 48) - 4,
    "dbgbvr1_el1": (1 << 48) - 4,
    "fpsr": 1 << 27 | 0x9F,
}


def _call(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    """What it is answered is in X0, which userspace sets."""
    if passed:
        return None
    wanted = Hypercall(CALL, (0,) * 6)
    return Exchange(
        f"a call of {CALL:#x}",
        "completion.hypercall",
        wanted,
        lambda found: isinstance(found, Hypercall) and found.number == CALL,
        reads=True,
    )


def _raises(syndrome: int) -> Callable[[GuestState, Step, Passed], StepResult]:
    return lambda state, step, passed: (state, syndrome)


def _page_fault(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state, _DATA_ABORT | _STORED | (_UNMAPPED + step.operand) << 32


_PLACE_OPERANDS = tuple(range(len(PLACES)))
_HALF_OPERANDS = tuple(each for each in mmio_steps.OPERANDS if each >> 16 < 4)

#: In the order of the source's table.
STEPS: Mapping[str, StepKind] = {
    **mmio_steps.FIRST_STEPS,
    "mmio_read_signed": StepKind(
        mmio_steps.end_read_signed, mmio_steps.read, operands=mmio_steps.NARROW_OPERANDS
    ),
    "mmio_read_half": StepKind(
        mmio_steps.end_read_half_signed, mmio_steps.read, operands=_HALF_OPERANDS
    ),
    "call": StepKind(mmio_steps.end_read, _call, needs=CALL_EXITS, weight=2),
    "put": StepKind(steps.put(PLACES), operands=_PLACE_OPERANDS, weight=2),
    "get": StepKind(steps.get(PLACES), operands=_PLACE_OPERANDS, weight=2),
    "flags": StepKind(steps.flags(1)),
    "interrupts_on": StepKind(steps.interrupts_on, weight=3),
    "interrupts_off": StepKind(steps.interrupts_off),
    "undefined": StepKind(_raises(_UNDEFINED)),
    "supervisor_call": StepKind(_raises(_SVC)),
    "breakpoint": StepKind(_raises(_BRK)),
    "page_fault": StepKind(_page_fault, operands=(0, 0x1FF8)),
    "wait": StepKind(nothing, weight=3, waits=True),
    "sleep": StepKind(
        nothing, needs="irqchip", weight=3, waits=True, sleeps=True, interruptible=True
    ),
}

PROGRAM = ScriptProgram(
    STEPS,
    PLACES,
    GuestState(events={"interrupts": Events()}),
    _KEPT,
)
