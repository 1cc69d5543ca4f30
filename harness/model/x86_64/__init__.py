# SPDX-License-Identifier: GPL-2.0-only
"""The steps of guest_blobs/x86_64/script.S."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from guest_blobs import memory_map as at
from harness.kvm.arch.x86_64.devices import (
    MSR,
    PORT_DONE,
    PORT_IN,
    PORT_OUT,
    PORT_STRING_IN,
    PORT_STRING_OUT,
)
from harness.kvm.exits import Hlt, Io, Mmio, Rdmsr, VcpuExit, Wrmsr
from harness.model.program import MASK, Events, Exchange, GuestState, Passed, Step, StepKind

LOG, SCRATCH, SCRIPT, STRING = 0x50000, 0x60000, 0x68000, 0x6C000
STRING_BYTES = 64
_STEP = struct.Struct("<IIQ")
STEP_BYTES = _STEP.size
_MULTIPLIER = 6364136223846793005
_UNMAPPED = 0x40000000
_SIGNATURE = int.from_bytes(b"KVMK", "little")
_PROTECTION = 13  # the vector of #GP, with error code 0
_IF, _CF, _ZF = 1 << 9, 1, 1 << 6
_MOVE = 0x800  # from what mmio_move reads to what it writes
_PAGE = 0x1000
_FILTERED = 4  # KVM_MSR_EXIT_REASON_FILTER

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
# Of a value that is put there these bits are kept: addresses must be canonical.
_ADDRESS = (1 << 46) - 1
_KEPT = dict.fromkeys(PLACES[PLACES.index("lstar") :], _ADDRESS)

StepResult = tuple[GuestState, int]


def first_state() -> GuestState:
    """Before the program begins."""
    string = bytes(range(STRING_BYTES))
    return GuestState(string=string, events={"interrupts": Events(), "NMIs": Events()})


def kept_bits(place: str) -> int:
    """The bits that a place can hold."""
    return _KEPT.get(place, MASK)


def kept(step: Step) -> Step:
    """The step with a value that its place can hold."""
    if step.name != "put":
        return step
    return replace(step, value=step.value & kept_bits(PLACES[step.operand]))


def stores(step: Step) -> Sequence[int]:
    """Addresses in the guest's memory that the step stores to, besides the log."""
    if step.name in ("store", "exchange_add"):
        return (SCRATCH + step.operand,)
    return (STRING,) if step.name == "string_in" else ()


def encode(script: Sequence[Step]) -> bytes:
    """The script as it stands in the guest's memory."""
    return b"".join(_STEP.pack(NUMBERS[each.name], each.operand, each.value) for each in script)


def entry(place: int, step: Step, result: int) -> bytes:
    """What the program writes into its log for a step."""
    return _STEP.pack(place, NUMBERS[step.name], result)


# ---- memory and registers


def _nothing(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state, 0


def _compute(state: GuestState, step: Step, passed: Passed) -> StepResult:
    value = (state.accumulator * _MULTIPLIER + step.value) & MASK
    return replace(state, accumulator=value), value


def _store(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return replace(state, memory={**state.memory, step.operand: step.value}), 0


def _load(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state, state.memory.get(step.operand, 0)


def _exchange_add(state: GuestState, step: Step, passed: Passed) -> StepResult:
    before = state.memory.get(step.operand, 0)
    return _store(state, replace(step, value=(before + step.value) & MASK), passed)[0], before


def _put(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return replace(state, places={**state.places, PLACES[step.operand]: step.value}), 0


def _get(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state, state.places.get(PLACES[step.operand], 0)


def _flags(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state, _IF if state.interrupts_on else 0


def _interrupts_on(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return replace(state, interrupts_on=True), 0


def _interrupts_off(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return replace(state, interrupts_on=False), 0


def _patch(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state, step.value & 0xFFFFFFFF


def _cpuid(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state, _SIGNATURE


def _self_interrupt(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state.sent("interrupts"), 0


# ---- exits


def _exactly(wanted: VcpuExit, said: str, claim: str, **more: Any) -> Exchange:
    """This exit and no other."""
    return Exchange(said, claim, wanted, lambda found: found == wanted, **more)


def _io(port: int, size: int, data: bytes | None) -> Io:
    """One item; `data` None for an IN."""
    return Io(port, size, 1, data is not None, data or b"")


def _bytes(value: int, length: int) -> bytes:
    return (value & (1 << 8 * length) - 1).to_bytes(length, "little")


def _merge(old: int, data: bytes, length: int) -> int:
    """A register into which so many bytes came; 32 bits clear the upper half."""
    new = int.from_bytes(data, "little")
    return new if length >= 4 else old & ~((1 << 8 * length) - 1) | new


def _port_out(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    if passed:
        return None
    data = _bytes(step.value, step.operand)
    said = f"an OUT of {data.hex(' ')}"
    return _exactly(_io(PORT_OUT, step.operand, data), said, "completion.pio")


def _port_in(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    if passed:
        return None
    said = f"an IN of {step.operand} bytes"
    return _exactly(_io(PORT_IN, step.operand, None), said, "completion.pio", reads=True)


def _end_port_in(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state, _merge(step.value, passed[0], step.operand)


def _pieces(step: Step, offset: int, length: int, passed: int) -> tuple[int, int, int]:
    """Of an access what comes next: address, where in the datum it begins, and its bytes.

    A page's end divides it, and so do 8 bytes.
    """
    start = at.MMIO_BASE + offset + passed
    room = _PAGE - start % _PAGE
    return start, passed, min(length - passed, room, 8)


def _access(
    step: Step, offset: int, length: int, passed: Passed, data: bytes | None, *, later: bool = False
) -> Exchange | None:
    """The next piece of a load or store; `later`: it comes behind another access."""
    done = sum(map(len, passed))
    if done >= length:
        return None
    address, start, size = _pieces(step, offset, length, done)
    piece = None if data is None else data[start : start + size]
    said = (
        f"a load of {size} bytes at {address:#x}"
        if piece is None
        else f"a store of {piece.hex(' ')} at {address:#x}"
    )
    claim = "completion.mmio"
    if later:
        claim = "completion.read_modify_write"
    elif length > size:
        claim = "completion.fragments"
    return _exactly(
        Mmio(address, size, piece is not None, piece or b""),
        said,
        claim,
        reads=piece is None,
        at_once=later or done > 0,
    )


def _split(step: Step) -> tuple[int, int]:
    """Offset and bytes of an MMIO step."""
    return step.operand & 0xFFFF, step.operand >> 16


def _mmio_write(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    offset, length = _split(step)
    return _access(step, offset, length, passed, _bytes(step.value, length))


def _mmio_read(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    offset, length = _split(step)
    return _access(step, offset, length, passed, None)


def _end_mmio_read(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state, _merge(step.value, b"".join(passed), _split(step)[1])


def _halves(passed: Passed, length: int) -> tuple[Passed, Passed]:
    """What passed of a load of so many bytes, and of the store behind it."""
    done = number = 0
    while number < len(passed) and done < length:
        done += len(passed[number])
        number += 1
    return passed[:number], passed[number:]


def _load_then_store(
    step: Step, offset: int, to: int, passed: Passed, stored: Callable[[int], int]
) -> Exchange | None:
    loaded, told = _halves(passed, 8)
    if piece := _access(step, offset, 8, loaded, None):
        return piece
    value = stored(int.from_bytes(b"".join(loaded), "little"))
    return _access(step, to, 8, told, _bytes(value, 8), later=True)


def _mmio_add(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    offset = step.operand
    return _load_then_store(step, offset, offset, passed, lambda loaded: loaded + step.value)


def _end_mmio_add(state: GuestState, step: Step, passed: Passed) -> StepResult:
    total = int.from_bytes(b"".join(_halves(passed, 8)[0]), "little") + step.value
    return state, (_CF if total > MASK else 0) | (_ZF if not total & MASK else 0)


def _mmio_move(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    offset = step.operand
    return _load_then_store(step, offset, offset + _MOVE, passed, lambda loaded: loaded)


def _string(port: int, step: Step, passed: Passed, data: bytes | None) -> Exchange | None:
    """Some of the items that are left: how many at once is for KVM to say."""
    done = sum(map(len, passed))
    left = step.operand - done
    if not left:
        return None

    def accepts(found: VcpuExit) -> bool:
        return (
            isinstance(found, Io)
            and (found.port, found.size, found.is_write) == (port, 1, data is not None)
            and 0 < found.count <= left
            and (data is None or found.data == data[done : done + found.count])
        )

    said = f"{'an INSB' if data is None else 'an OUTSB'} of what is left of {step.operand} bytes"
    at_once = None if done else False
    rest = Io(port, 1, left, data is not None, data[done : done + left] if data else b"")
    return Exchange(
        said, "completion.fragments", rest, accepts, reads=data is None, at_once=at_once
    )


def _string_out(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    return _string(PORT_STRING_OUT, step, passed, state.string)


def _string_in(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    return _string(PORT_STRING_IN, step, passed, None)


def _end_string_in(state: GuestState, step: Step, passed: Passed) -> StepResult:
    given = b"".join(passed)
    return replace(state, string=given + state.string[len(given) :]), 0


def _msr_write(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    if passed:
        return None

    def accepts(found: VcpuExit) -> bool:
        return isinstance(found, Wrmsr) and (found.index, found.data) == (MSR, step.value)

    wanted = Wrmsr(MSR, _FILTERED, step.value)
    return Exchange(f"a WRMSR of {step.value:#x}", "completion.msr", wanted, accepts)


def _msr_read(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    if passed:
        return None

    def accepts(found: VcpuExit) -> bool:
        return isinstance(found, Rdmsr) and found.index == MSR

    return Exchange("a RDMSR", "completion.msr", Rdmsr(MSR, _FILTERED), accepts, reads=True)


def _end_msr_write(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state, 0 if passed[0] else _PROTECTION


def _end_msr_read(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state, int.from_bytes(passed[0], "little") if passed[0] else _PROTECTION


def _halt(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    if passed:
        return None
    return _exactly(Hlt(), "KVM_EXIT_HLT", "states.halted")


def _end(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    if passed:
        return None
    return _exactly(_io(PORT_DONE, 1, b"\0"), "its end", "completion.pio")


# ---- exceptions


def _raises(vector: int, code: int = 0) -> Callable[[GuestState, Step, Passed], StepResult]:
    return lambda state, step, passed: (state, vector | code << 8)


def _page_fault(state: GuestState, step: Step, passed: Passed) -> StepResult:
    address = _UNMAPPED + step.operand
    places = {**state.places, "cr2": address}
    return replace(state, places=places), 14 | 2 << 8 | address << 32


_SCRATCH_OPERANDS = tuple(page * _PAGE + offset for page in range(4) for offset in (0, 8, 0xFF8))
_MMIO_OPERANDS = tuple(
    length << 16 | offset for length in (1, 2, 4, 8) for offset in (0x10, 0x123, 0xFFF, 0x1FFC)
)
_PLACE_OPERANDS = tuple(range(len(PLACES)))
_LENGTHS = (1, 2, 4)

#: In the order of the source's table.
STEPS: Mapping[str, StepKind] = {
    "end": StepKind(_nothing, _end, last=True),
    "compute": StepKind(_compute),
    "store": StepKind(_store, operands=_SCRATCH_OPERANDS),
    "load": StepKind(_load, operands=_SCRATCH_OPERANDS),
    "exchange_add": StepKind(_exchange_add, operands=_SCRATCH_OPERANDS),
    "port_out": StepKind(_nothing, _port_out, operands=_LENGTHS),
    "port_in": StepKind(_end_port_in, _port_in, operands=_LENGTHS),
    "mmio_write": StepKind(_nothing, _mmio_write, operands=_MMIO_OPERANDS),
    "mmio_read": StepKind(_end_mmio_read, _mmio_read, operands=_MMIO_OPERANDS),
    "mmio_add": StepKind(_end_mmio_add, _mmio_add, operands=(0x20, 0xFFC)),
    "mmio_move": StepKind(_nothing, _mmio_move, operands=(0x40, 0x7FD, 0xFFB)),
    "string_out": StepKind(_nothing, _string_out, operands=(1, 5, STRING_BYTES)),
    "string_in": StepKind(_end_string_in, _string_in, operands=(1, 5, STRING_BYTES)),
    "msr_write": StepKind(_end_msr_write, _msr_write, operands=(MSR,), needs="msr_exits"),
    "msr_read": StepKind(_end_msr_read, _msr_read, operands=(MSR,), needs="msr_exits"),
    "halt": StepKind(_nothing, _halt, needs="no_irqchip", interruptible=True),
    "put": StepKind(_put, operands=_PLACE_OPERANDS),
    "get": StepKind(_get, operands=_PLACE_OPERANDS),
    "flags": StepKind(_flags),
    "interrupts_on": StepKind(_interrupts_on, weight=3),
    "interrupts_off": StepKind(_interrupts_off),
    "undefined": StepKind(_raises(6)),
    "protection": StepKind(_raises(13, 0x1230)),
    "page_fault": StepKind(_page_fault, operands=(0, 0x1FF8)),
    "breakpoint": StepKind(_raises(3)),
    "patch": StepKind(_patch),
    "cpuid": StepKind(_cpuid),
    "wait": StepKind(_nothing, weight=3, waits=True),
    "sleep": StepKind(
        _nothing, needs="irqchip", weight=3, waits=True, sleeps=True, interruptible=True
    ),
    "self_interrupt": StepKind(_self_interrupt, needs="irqchip"),
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


NUMBERS = {name: number for number, name in enumerate(STEPS)}
