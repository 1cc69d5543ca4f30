# SPDX-License-Identifier: GPL-2.0-only
"""Steps of programs that speak by MMIO, of which each access is one exit, whatever its place.

A guest has the byte order of its host.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from guest_blobs import memory_map as at
from harness.kvm.exits import Mmio
from harness.model import steps
from harness.model.program import MASK, Exchange, GuestState, Passed, Step, StepKind, StepResult

#: Bytes from bit 16 on, and below them an offset from MMIO_BASE: of what is aligned.
OPERANDS = tuple(length << 16 | offset for length in (1, 2, 4, 8) for offset in (0x10, 0xFF8))
#: Of what is narrower than a register of 64 bits.
NARROW_OPERANDS = tuple(each for each in OPERANDS if each >> 16 < 8)


def _access(address: int, length: int, data: bytes | None, passed: Passed) -> Exchange | None:
    if passed:
        return None
    wanted = Mmio(address, length, data is not None, data or b"")
    what = f"a load of {length} bytes" if data is None else f"a store of {data.hex(' ')}"
    return Exchange(
        f"{what} at {address:#x}",
        "completion.mmio",
        wanted,
        lambda found: found == wanted,
        reads=data is None,
    )


def _place(step: Step) -> tuple[int, int]:
    """Address and bytes."""
    return at.MMIO_BASE + (step.operand & 0xFFFF), step.operand >> 16


def write(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    """The value's low bytes."""
    address, length = _place(step)
    data = (step.value & (1 << 8 * length) - 1).to_bytes(length, sys.byteorder)
    return _access(address, length, data, passed)


def read(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    """As many bytes."""
    return _access(*_place(step), None, passed)


def end_read(state: GuestState, step: Step, passed: Passed) -> StepResult:
    """What was read; the rest of the register is 0."""
    return state, int.from_bytes(passed[0], sys.byteorder)


def end_read_signed(state: GuestState, step: Step, passed: Passed) -> StepResult:
    """The sign of what was read goes through all of the register."""
    return state, int.from_bytes(passed[0], sys.byteorder, signed=True) & MASK


def end_read_half_signed(state: GuestState, step: Step, passed: Passed) -> StepResult:
    """The sign goes through 32 bits, and the rest is 0."""
    return state, int.from_bytes(passed[0], sys.byteorder, signed=True) & MASK >> 32


def end(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    """The program's last exit."""
    return _access(at.DONE_WORD, 4, at.DONE.to_bytes(4, sys.byteorder), passed)


#: With which the table of each such program begins.
FIRST_STEPS: Mapping[str, StepKind] = {
    "end": StepKind(steps.nothing, end, last=True),
    "compute": StepKind(steps.compute),
    "store": StepKind(steps.store, operands=steps.SCRATCH_OPERANDS),
    "load": StepKind(steps.load, operands=steps.SCRATCH_OPERANDS),
    "exchange_add": StepKind(steps.exchange_add, operands=steps.SCRATCH_OPERANDS),
    "mmio_write": StepKind(steps.nothing, write, operands=OPERANDS, weight=2),
    "mmio_read": StepKind(end_read, read, operands=OPERANDS, weight=2),
}
