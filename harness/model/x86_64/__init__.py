# SPDX-License-Identifier: GPL-2.0-only
"""The steps of guest_blobs/x86_64/script.S."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from harness.kvm.arch.x86_64.devices import MSR
from harness.model import steps
from harness.model.program import Events, GuestState, Passed, Step, StepKind, StepResult
from harness.model.steps import ScriptProgram, nothing
from harness.model.x86_64 import exchanges

STRING = 0x6C000
STRING_BYTES = 64
_UNMAPPED = 0x40000000
_SIGNATURE = int.from_bytes(b"KVMK", "little")
_IF = 1 << 9

PLACES = (
    *(f"xmm{number}" for number in range(16)),
    *("dr0", "dr1", "dr2", "dr3", "cr2", "rbp", "rsi", "rdi", "r8", "r9"),
    *("lstar", "cstar", "kernel_gs_base", "fs_base", "gs_base", "sysenter_eip"),
)
#: Those that are MSRs.
MSR_PLACES: Mapping[str, int] = {
    "lstar": 0xC0000082,
    "cstar": 0xC0000083,
    "kernel_gs_base": 0xC0000102,
    "fs_base": 0xC0000100,
    "gs_base": 0xC0000101,
    "sysenter_eip": 0x176,
}
# Of a value that is put there these bits are kept: addresses must be canonical. Of SYSENTER_EIP
# KVM keeps the low half for a guest of AMD's, where userspace sets it (svm_set_msr()).
_ADDRESS = (1 << 46) - 1
_KEPT = {
    **dict.fromkeys(PLACES[PLACES.index("lstar") :], _ADDRESS),
    "sysenter_eip": (1 << 32) - 1,
}


def tells_only(step: Step) -> bool:
    """Whether all of it is one exit that reads nothing."""
    return step.name in ("port_out", "msr_write", "end")


# ---- registers, and exceptions


def _patch(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state, step.value & 0xFFFFFFFF


def _cpuid(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state, _SIGNATURE


def _raises(vector: int, code: int = 0) -> Callable[[GuestState, Step, Passed], StepResult]:
    return lambda state, step, passed: (state, vector | code << 8)


def _page_fault(state: GuestState, step: Step, passed: Passed) -> StepResult:
    address = _UNMAPPED + step.operand
    places = {**state.places, "cr2": address}
    return replace(state, places=places), 14 | 2 << 8 | address << 32


_MMIO_OPERANDS = tuple(
    length << 16 | offset for length in (1, 2, 4, 8) for offset in (0x10, 0x123, 0xFFF, 0x1FFC)
)
_PLACE_OPERANDS = tuple(range(len(PLACES)))
_WIDE_OPERANDS = (0x10, 0xFF8, 0xFFB)  # within a page, and where one ends: between pieces, in one
_LENGTHS = (1, 2, 4)

#: In the order of the source's table.
STEPS: Mapping[str, StepKind] = {
    "end": StepKind(nothing, exchanges.end, last=True),
    "compute": StepKind(steps.compute),
    "store": StepKind(steps.store, operands=steps.SCRATCH_OPERANDS),
    "load": StepKind(steps.load, operands=steps.SCRATCH_OPERANDS),
    "exchange_add": StepKind(steps.exchange_add, operands=steps.SCRATCH_OPERANDS),
    "port_out": StepKind(nothing, exchanges.port_out, operands=_LENGTHS),
    "port_in": StepKind(exchanges.end_port_in, exchanges.port_in, operands=_LENGTHS),
    "mmio_write": StepKind(nothing, exchanges.mmio_write, operands=_MMIO_OPERANDS),
    "mmio_read": StepKind(exchanges.end_mmio_read, exchanges.mmio_read, operands=_MMIO_OPERANDS),
    "mmio_add": StepKind(exchanges.end_mmio_add, exchanges.mmio_add, operands=(0x20, 0xFFC)),
    "mmio_move": StepKind(nothing, exchanges.mmio_move, operands=(0x40, 0x7FD, 0xFFB)),
    "string_out": StepKind(nothing, exchanges.string_out, operands=(1, 5, STRING_BYTES)),
    "string_in": StepKind(
        exchanges.end_string_in, exchanges.string_in, operands=(1, 5, STRING_BYTES)
    ),
    "msr_write": StepKind(
        exchanges.end_msr_write, exchanges.msr_write, operands=(MSR,), needs="msr_exits", weight=3
    ),
    "msr_read": StepKind(
        exchanges.end_msr_read, exchanges.msr_read, operands=(MSR,), needs="msr_exits", weight=3
    ),
    "halt": StepKind(nothing, exchanges.halt, needs="no_irqchip", interruptible=True),
    "put": StepKind(steps.put(PLACES), operands=_PLACE_OPERANDS),
    "get": StepKind(steps.get(PLACES), operands=_PLACE_OPERANDS),
    "flags": StepKind(steps.flags(_IF)),
    "interrupts_on": StepKind(steps.interrupts_on, weight=3),
    "interrupts_off": StepKind(steps.interrupts_off),
    "undefined": StepKind(_raises(6)),
    "protection": StepKind(_raises(13, 0x1230)),
    "page_fault": StepKind(_page_fault, operands=(0, 0x1FF8)),
    "breakpoint": StepKind(_raises(3)),
    "patch": StepKind(_patch),
    "cpuid": StepKind(_cpuid),
    "wait": StepKind(nothing, weight=3, waits=True),
    "sleep": StepKind(
        nothing, needs="irqchip", weight=3, waits=True, sleeps=True, interruptible=True
    ),
    "self_interrupt": StepKind(steps.self_interrupt, needs="irqchip"),
    "wide_write": StepKind(nothing, exchanges.wide_write, operands=_WIDE_OPERANDS),
    "wide_read": StepKind(exchanges.end_wide_read, exchanges.wide_read, operands=_WIDE_OPERANDS),
    "traced_in": StepKind(exchanges.end_traced, exchanges.traced_in, traps=True),
    "traced_read": StepKind(
        exchanges.end_traced, exchanges.traced_read, operands=(0x60,), traps=True
    ),
}
#: Each is tried behind an exit, so that its pages are known, and before a first access to a
#: device.
#: A KVM that interprets its guest may not know the instruction. And KVM from 6.14 on ends the
#: access where it sees the exception's type in EXITINTINFO, whether the processor calls that valid
#: or not (7bd7ff99110a); QEMU's leaves the type there when the exception was delivered.
MAY_LACK: Sequence[str] = ("undefined", "protection", "page_fault", "breakpoint")


def trying(step: str) -> Sequence[Step]:
    """The script by which a step of MAY_LACK is tried."""
    return Step("port_out", 1), Step(step), Step("mmio_read", 4 << 16 | 0x10), Step("end")


PROGRAM = ScriptProgram(
    STEPS,
    PLACES,
    GuestState(
        string=bytes(range(STRING_BYTES)), events={"interrupts": Events(), "NMIs": Events()}
    ),
    _KEPT,
    stored={"string_in": (STRING,)},
)
