# SPDX-License-Identifier: GPL-2.0-only
"""Steps of guest_blobs/x86_64/script.S that leave the guest: which exits they make, and what of."""

from __future__ import annotations

from collections.abc import Callable
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
from harness.model.program import MASK, Exchange, GuestState, Passed, Step, StepResult

_PROTECTION = 13  # the vector of #GP, with error code 0
_CF, _ZF = 1, 1 << 6
_MOVE = 0x800  # from what mmio_move reads to what it writes
_PAGE = 0x1000
_FILTERED = 4  # KVM_MSR_EXIT_REASON_FILTER
_WIDE = 16  # bytes of a vector register
_TRAPS = 0x104  # of a traced step: four, and where the first came


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


def port_out(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    if passed:
        return None
    data = _bytes(step.value, step.operand)
    said = f"an OUT of {data.hex(' ')}"
    return _exactly(_io(PORT_OUT, step.operand, data), said, "completion.pio")


def port_in(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    if passed:
        return None
    said = f"an IN of {step.operand} bytes"
    return _exactly(_io(PORT_IN, step.operand, None), said, "completion.pio", reads=True)


def end_port_in(state: GuestState, step: Step, passed: Passed) -> StepResult:
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


def mmio_write(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    offset, length = _split(step)
    return _access(step, offset, length, passed, _bytes(step.value, length))


def mmio_read(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    offset, length = _split(step)
    return _access(step, offset, length, passed, None)


def end_mmio_read(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state, _merge(step.value, b"".join(passed), _split(step)[1])


def wide_write(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    data = _bytes(step.value, 8) + _bytes(~step.value, 8)
    return _access(step, step.operand, _WIDE, passed, data)


def wide_read(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    return _access(step, step.operand, _WIDE, passed, None)


def end_wide_read(state: GuestState, step: Step, passed: Passed) -> StepResult:
    found = b"".join(passed)
    first, second = (int.from_bytes(each, "little") for each in (found[:8], found[8:]))
    return state, first - second & MASK


def traced_in(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    return port_in(state, replace(step, operand=4), passed)


def traced_read(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    return _access(step, step.operand, 4, passed, None)


def end_traced(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state, int.from_bytes(passed[0], "little") << 32 | _TRAPS


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


def mmio_add(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    offset = step.operand
    return _load_then_store(step, offset, offset, passed, lambda loaded: loaded + step.value)


def end_mmio_add(state: GuestState, step: Step, passed: Passed) -> StepResult:
    total = int.from_bytes(b"".join(_halves(passed, 8)[0]), "little") + step.value
    return state, (_CF if total > MASK else 0) | (_ZF if not total & MASK else 0)


def mmio_move(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
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


def string_out(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    return _string(PORT_STRING_OUT, step, passed, state.string)


def string_in(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    return _string(PORT_STRING_IN, step, passed, None)


def end_string_in(state: GuestState, step: Step, passed: Passed) -> StepResult:
    given = b"".join(passed)
    string = given + state.string[len(given) :]
    words = (int.from_bytes(string[n : n + 8], "little") for n in range(0, len(string), 8))
    return replace(state, string=string), sum(words) & MASK


def msr_write(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    if passed:
        return None

    def accepts(found: VcpuExit) -> bool:
        return isinstance(found, Wrmsr) and (found.index, found.data) == (MSR, step.value)

    wanted = Wrmsr(MSR, _FILTERED, step.value)
    return Exchange(f"a WRMSR of {step.value:#x}", "completion.msr", wanted, accepts)


def msr_read(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    if passed:
        return None

    def accepts(found: VcpuExit) -> bool:
        return isinstance(found, Rdmsr) and found.index == MSR

    return Exchange("a RDMSR", "completion.msr", Rdmsr(MSR, _FILTERED), accepts, reads=True)


def end_msr_write(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state, 0 if passed[0] else _PROTECTION


def end_msr_read(state: GuestState, step: Step, passed: Passed) -> StepResult:
    return state, int.from_bytes(passed[0], "little") if passed[0] else _PROTECTION


def halt(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    if passed:
        return None
    return _exactly(Hlt(), "KVM_EXIT_HLT", "states.halted")


def end(state: GuestState, step: Step, passed: Passed) -> Exchange | None:
    if passed:
        return None
    return _exactly(_io(PORT_DONE, 1, b"\0"), "its end", "completion.pio")
