# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: a vCPU's state: where it begins, what is compared, saved and restored."""

from __future__ import annotations

import errno
import functools
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from guest_blobs import Blob
from guest_blobs import memory_map as at
from guest_blobs.x86_64.memory_map import PAGE_TABLES
from harness.kvm.abi import KvmError
from harness.kvm.arch.interface import NoGuestModeError
from harness.kvm.arch.x86_64.ioctls import get_regs, get_sregs, set_regs, set_sregs
from harness.kvm.memory import Memory
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import ffi

MODES: tuple[str, ...] = ("real", "protected", "long")
CODE, DATA = 0x08, 0x10
# Places in the local APIC's page: vectors that wait, those in service, and the level-triggered.
IRR, ISR, TMR = 0x200, 0x100, 0x180
TIMER_VECTOR, TIMER_INITIAL, TIMER_CURRENT, TIMER_DIVISOR = 0x320, 0x380, 0x390, 0x3E0
DIVIDE_BY_ONE = 0xB  # a divisor
CR0_PE, _CR0_MP, _CR0_ET, _CR0_NE, _CR0_PG = 1, 1 << 1, 1 << 4, 1 << 5, 1 << 31
_CR4_PAE = 1 << 5
_EFER_LME, _EFER_LMA = 1 << 8, 1 << 10
_APIC_BASE_X2APIC = 1 << 10
_RFLAGS_ALWAYS = 0x2
_PAGE, _WRITABLE, _LARGE = 0x1, 0x2, 0x80
_PAGE_BYTES = 0x1000
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}  # of numbers, for the module struct
_GENERAL = (
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags"),
)


def enter(vcpu: Vcpu, vm: Vm, ram: Memory, blob: Blob) -> None:
    """The entry state of guest_blobs/x86_64/program.inc."""
    sregs = get_sregs(vcpu)
    segments = [sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss]
    if blob.mode == "real":
        for segment in (sregs.cs, *segments):
            segment.base, segment.selector = 0, 0
    else:
        long_mode = blob.mode == "long"
        _flat(sregs.cs, CODE, 0xB, long_mode)
        for segment in segments:
            _flat(segment, DATA, 0x3, False)
        sregs.cr0 = CR0_PE | _CR0_MP | _CR0_ET | _CR0_NE
        if long_mode:
            map_memory(ram, PAGE_TABLES)
            sregs.cr0 |= _CR0_PG
            sregs.cr3, sregs.cr4 = PAGE_TABLES, _CR4_PAE
            sregs.efer = _EFER_LME | _EFER_LMA
    if vm.irqchip != "none":
        # Then the local APIC's registers are MSRs, which a program reaches in every mode.
        sregs.apic_base |= _APIC_BASE_X2APIC
    try:
        set_sregs(vcpu, sregs)
    except KvmError as error:
        if error.errno != errno.EINVAL or blob.mode == MODES[-1] or _enters_by_xapic(vcpu, sregs):
            raise
        raise NoGuestModeError(f"KVM_SET_SREGS for {blob.mode} mode", error.errno) from None
    regs = ffi.new("struct kvm_regs *")
    regs.rip, regs.rsp, regs.rflags = blob.entry, at.STACK_TOP, _RFLAGS_ALWAYS
    set_regs(vcpu, regs)


def _enters_by_xapic(vcpu: Vcpu, sregs: Any) -> bool:
    """Whether it was the x2APIC that was refused, which is the same in every mode."""
    if not sregs.apic_base & _APIC_BASE_X2APIC:
        return False
    sregs.apic_base &= ~_APIC_BASE_X2APIC
    try:
        set_sregs(vcpu, sregs)
    except KvmError:
        return False
    return True


def _flat(segment: Any, selector: int, kind: int, long_mode: bool) -> None:
    segment.base, segment.limit, segment.selector = 0, 0xFFFFFFFF, selector
    segment.type, segment.present, segment.dpl, segment.s = kind, 1, 0, 1
    segment.db, segment.l, segment.g, segment.unusable = int(not long_mode), int(long_mode), 1, 0


def map_memory(ram: Memory, tables: int, elsewhere: Mapping[int, int] | None = None) -> None:
    """Long mode: the first GiB by pages of 2 MiB, in three pages of tables.

    Each is mapped to itself, but for those that are `elsewhere`, by their address.
    """
    top, middle, bottom = (tables + _PAGE_BYTES * level for level in range(3))
    ram.write64(top, middle | _PAGE | _WRITABLE)
    ram.write64(middle, bottom | _PAGE | _WRITABLE)
    where = {index << 21: index << 21 for index in range(512)} | dict(elsewhere or {})
    entries = (address | _PAGE | _WRITABLE | _LARGE for address in where.values())
    # At once: one by one they are most of what a guest costs on an emulated host.
    ram.write(bottom, struct.pack("<512Q", *entries))


def set_page_tables(vcpu: Vcpu, tables: int) -> None:
    """CR3, by KVM_SET_SREGS. Raises `KvmError`."""
    sregs = get_sregs(vcpu)
    sregs.cr3 = tables
    set_sregs(vcpu, sregs)


def registers(vcpu: Vcpu) -> Mapping[str, int]:
    """General registers, control registers and the segments' bases and selectors."""
    regs, sregs = get_regs(vcpu), get_sregs(vcpu)
    found = {name: int(getattr(regs, name)) for name in _GENERAL}
    for name in ("cr0", "cr2", "cr3", "cr4", "efer"):
        found[name] = int(getattr(sregs, name))
    for name in ("cs", "ds", "es", "fs", "gs", "ss", "tr"):
        segment = getattr(sregs, name)
        found[name], found[f"{name}_base"] = int(segment.selector), int(segment.base)
    for name in ("gdt", "idt"):
        found[f"{name}_base"] = int(getattr(sregs, name).base)
    return found


def program_counter(vcpu: Vcpu) -> int:
    """RIP."""
    return int(get_regs(vcpu).rip)


def accumulator(vcpu: Vcpu) -> int:
    """RAX."""
    return int(get_regs(vcpu).rax)


def set_accumulator(vcpu: Vcpu, value: int) -> None:
    """RAX."""
    regs = get_regs(vcpu)
    regs.rax = value
    set_regs(vcpu, regs)


def scratch(vcpu: Vcpu) -> int:
    """RBP."""
    return int(get_regs(vcpu).rbp)


def set_scratch(vcpu: Vcpu, value: int) -> None:
    """RBP, which no program uses."""
    regs = get_regs(vcpu)
    regs.rbp = value
    set_regs(vcpu, regs)


def copy_state(source: Vcpu, target: Vcpu) -> None:
    """General and special registers; no local APIC, no events.

    Without CPUID a vCPU has no long mode, and 6.12 refuses the registers of one that has.
    """
    set_sregs(target, get_sregs(source))
    set_regs(target, get_regs(source))


# ---- structs that are compared as a whole


def vectors(lapic: Any, place: int) -> list[int]:
    """The vectors that are set at IRR or ISR of what `get_lapic` gave."""
    page = bytes(ffi.buffer(lapic))
    # 32 vectors a register, the registers 16 bytes apart.
    words = (int.from_bytes(page[place + 16 * n : place + 16 * n + 4], "little") for n in range(8))
    bits = sum(word << 32 * n for n, word in enumerate(words))
    return [vector for vector in range(256) if bits >> vector & 1]


def only_vector(place: int, vector: int) -> dict[int, int]:
    """For `change_lapic`: of the 32 vectors in its register at IRR or ISR this one is set."""
    return {place + 16 * (vector // 32): 1 << vector % 32}


def level_in_service(vector: int) -> dict[int, int]:
    """For `change_lapic`: a level-triggered interrupt in service, of whose end AVIC tells KVM."""
    return {**only_vector(ISR, vector), **only_vector(TMR, vector)}


def fields(struct: Any, prefix: str = "") -> dict[str, int]:
    """Every number in a struct by its path (`cs.base`), without the padding between them."""
    kind = ffi.typeof(struct)
    if kind.kind == "pointer":
        return fields(struct[0], prefix)
    names, layout = _layout(kind)
    values = layout.unpack(ffi.buffer(_pointer(struct))[0 : layout.size])
    return {f"{prefix}{name}": value for name, value in zip(names, values, strict=True)}


@functools.cache
def _layout(kind: Any) -> tuple[Sequence[str], struct.Struct]:
    """The paths of all numbers, in order, and how they lie. KeyError for what is no number."""
    names, codes, end = [], ["="], 0
    for name, place, number in _numbers(kind, "", 0):
        size = ffi.sizeof(number)
        code = _CODES[size]
        is_signed = int(ffi.cast(number, -1)) < 0
        names.append(name)
        codes.append(f"{place - end}x{code.lower() if is_signed else code}")
        end = place + size
    return names, struct.Struct("".join(codes))


def _numbers(kind: Any, path: str, at: int) -> Iterator[tuple[str, int, Any]]:
    if kind.kind in ("struct", "union"):
        for name, field in kind.fields:
            yield from _numbers(field.type, f"{path}.{name}", at + field.offset)
    elif kind.kind == "array":
        for index in range(kind.length):
            place = at + index * ffi.sizeof(kind.item)
            yield from _numbers(kind.item, f"{path}.{index}", place)
    else:
        yield path.removeprefix("."), at, kind


def fill(struct: Any, byte: int) -> None:
    """Writes one byte's value all over a struct, padding included."""
    view = ffi.buffer(_pointer(struct))
    view[:] = bytes([byte]) * len(view)


def copy(target: Any, source: Any) -> None:
    """Copies a struct over another of its type."""
    ffi.buffer(_pointer(target))[:] = ffi.buffer(_pointer(source))[:]


def _pointer(struct: Any) -> Any:
    return struct if ffi.typeof(struct).kind == "pointer" else ffi.addressof(struct)
