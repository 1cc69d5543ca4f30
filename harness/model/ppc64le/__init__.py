# SPDX-License-Identifier: GPL-2.0-only
"""The steps of guest_blobs/ppc64le/script.S."""

from __future__ import annotations

from collections.abc import Mapping

from harness.kvm.exits import PaprHcall
from harness.model import mmio_steps, steps
from harness.model.program import (
    MASK,
    Events,
    Exchange,
    GuestState,
    Passed,
    Step,
    StepKind,
    StepResult,
)
from harness.model.steps import ScriptProgram, nothing

#: H_PUT_TERM_CHAR (PAPR): a console is userspace's, and KVM hands the call on.
CALL = 0x58

VECTORS = tuple(f"v{number}" for number in range(32))
FLOATS = tuple(f"f{number}" for number in range(32))
GENERAL = tuple(f"r{number}" for number in (2, 13, *range(16, 20), *range(24, 29)))
PLACES = (*VECTORS, *FLOATS, *GENERAL, "lr", "sprg2", "sprg3", "vrsave")


def _call(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    """The value is its first argument; what it is answered comes with the completion."""
    if passed:
        return None

    def accepts(found: object) -> bool:
        if not isinstance(found, PaprHcall):
            return False
        return (found.number, found.arguments[0]) == (CALL, step.value)

    wanted = PaprHcall(CALL, (step.value, *(0,) * 8))
    said = f"the hypercall {CALL:#x} with {step.value:#x}"
    return Exchange(said, "completion.hypercall", wanted, accepts, reads=True)


def _end_read_reversed(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state, int.from_bytes(passed[0], "big")


_PLACE_OPERANDS = tuple(range(len(PLACES)))
_SIGNED = tuple(each for each in mmio_steps.OPERANDS if each >> 16 in (2, 4))
_REVERSED = tuple(each for each in mmio_steps.OPERANDS if each >> 16 > 1)

#: In the order of the source's table.
STEPS: Mapping[str, StepKind] = {
    **mmio_steps.FIRST_STEPS,
    "mmio_read_signed": StepKind(mmio_steps.end_read_signed, mmio_steps.read, operands=_SIGNED),
    "mmio_read_reversed": StepKind(_end_read_reversed, mmio_steps.read, operands=_REVERSED),
    "call": StepKind(steps.end_call, _call, weight=2),
    "put": StepKind(steps.put(PLACES), operands=_PLACE_OPERANDS, weight=2),
    "get": StepKind(steps.get(PLACES), operands=_PLACE_OPERANDS, weight=2),
    "wait": StepKind(nothing, weight=3, waits=True),
}

PROGRAM = ScriptProgram(
    STEPS,
    PLACES,
    GuestState(events={"interrupts": Events()}),
    {"vrsave": MASK >> 32},
)
