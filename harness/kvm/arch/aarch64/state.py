# SPDX-License-Identifier: GPL-2.0-only
"""arm64: a vCPU's state: where it begins, what is compared, saved and restored."""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator, Mapping
from weakref import WeakKeyDictionary

from guest_blobs import Blob
from guest_blobs import memory_map as at
from guest_blobs.aarch64.memory_map import PAGE_TABLES
from harness.kvm.arch.aarch64 import names
from harness.kvm.arch.interface import NoGuestModeError
from harness.kvm.memory import Memory
from harness.kvm.registers import get_register, get_registers, register_list, set_register
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import lib

MODES: tuple[str, ...] = ("bare", "user", "paged")
_MASKED = 0x3C0  # PSTATE: debug exceptions, SError, IRQ and FIQ
_EL0, _EL1 = 0x0, 0x5  # EL0; EL1 on its own stack
_FPEN, _ZEN = 3 << 20, 3 << 16  # CPACR_EL1: no trap of vector registers
# SCTLR_EL1 (Arm DDI 0487): the bits that are 1 where nothing newer is there; MMU and caches; what
# EL0 may: mask interrupts (UMA), WFI and WFE.
_RESERVED = 1 << 29 | 1 << 28 | 1 << 23 | 1 << 22 | 1 << 20 | 1 << 11
_MMU, _DATA_CACHE, _CODE_CACHE = 1 << 0, 1 << 2, 1 << 12
_UMA, _NTWI, _NTWE = 1 << 9, 1 << 16, 1 << 18
# TCR_EL1: 30 bits of address by pages of 4 KiB, which begin at level 2; inner shareable and
# write-back; no second half of the address space; 40 bits of guest address.
_TCR = 64 - 30 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23 | 2 << 32
_WRITE_BACK = 0xFF  # the one attribute of MAIR_EL1
_TABLE_OR_PAGE, _BLOCK = 3, 1
_ACCESSED, _SHAREABLE = 1 << 10, 3 << 8
_BY_BOTH, _READ_ONLY = 1 << 6, 1 << 7
_GRANULE, _LARGE = 0x1000, 0x20_0000
_FWB_SHIFT = 40  # of ID_AA64MMFR2_EL1: FEAT_S2FWB

_STACKS = ("sp", "sp_el1")
_SYSTEM = (
    *("sctlr_el1", "actlr_el1", "cpacr_el1", "ttbr0_el1", "ttbr1_el1", "tcr_el1", "mair_el1"),
    *("amair_el1", "vbar_el1", "esr_el1", "far_el1", "par_el1", "afsr0_el1", "afsr1_el1"),
    *("contextidr_el1", "tpidr_el0", "tpidrro_el0", "tpidr_el1", "cntkctl_el1", "mdscr_el1"),
    *("csselr_el1", "apiakeylo_el1", "apiakeyhi_el1"),
)
# What a reset leaves undefined: a processor may not keep KVM's own pattern for it.
_UNDEFINED = (
    *("ttbr0_el1", "ttbr1_el1", "mair_el1", "amair_el1", "esr_el1", "far_el1", "par_el1"),
    *("afsr0_el1", "afsr1_el1", "contextidr_el1", "tpidr_el0", "tpidrro_el0", "tpidr_el1"),
)
_SYSTEM_NUMBERS = frozenset(map(names.number, _SYSTEM))


def enter(vcpu: Vcpu, vm: Vm, ram: Memory, blob: Blob) -> None:
    """The entry state of guest_blobs/aarch64/program.inc, in a vCPU that was just initialized.

    With its MMU off a guest goes past the caches, unless the processor keeps it from that
    (FEAT_S2FWB): the host would not see what it wrote.
    """
    if blob.mode == "bare" and not writes_are_seen(vcpu):
        raise NoGuestModeError("a guest whose MMU is off (no FEAT_S2FWB)", errno.EOPNOTSUPP)
    values = {"pc": blob.entry, "vbar_el1": blob.load_address, "cpacr_el1": _FPEN | _ZEN}
    values |= dict.fromkeys(_STACKS, at.STACK_TOP)
    values["pstate"] = _MASKED | (_EL0 if blob.mode == "user" else _EL1)
    if blob.mode != "bare":
        ram.write(PAGE_TABLES, _tables())
        values |= {"ttbr0_el1": PAGE_TABLES, "tcr_el1": _TCR, "mair_el1": _WRITE_BACK}
        values["sctlr_el1"] = _RESERVED | _MMU | _DATA_CACHE | _CODE_CACHE | _UMA | _NTWI | _NTWE
    for name, value in values.items():
        set_register(vcpu, names.number(name), value)


def clear_undefined(vcpu: Vcpu) -> None:
    """Zero in what a reset leaves undefined. Raises `KvmError`."""
    for name in _UNDEFINED:
        set_register(vcpu, names.number(name), 0)


def writes_are_seen(vcpu: Vcpu) -> bool:
    """Whether the host sees what a guest writes whose MMU is off."""
    return bool(get_register(vcpu, names.number("id_aa64mmfr2_el1")) >> _FWB_SHIFT & 0xF)


def _tables() -> bytes:
    """The first GiB, each address mapped to itself, for EL0 and EL1.

    Pages with programs can only be read: what EL0 may write EL1 does not execute.
    """
    usual = _ACCESSED | _SHAREABLE | _BY_BOTH
    code = {*range(at.PROGRAM, at.PROGRAM_END, _GRANULE), at.SECOND_PROGRAM}

    def entries() -> Iterator[int]:
        yield PAGE_TABLES + _GRANULE | _TABLE_OR_PAGE
        for address in range(_LARGE, 512 * _LARGE, _LARGE):
            yield address | usual | _BLOCK
        for address in range(0, _LARGE, _GRANULE):
            yield address | usual | _TABLE_OR_PAGE | (_READ_ONLY if address in code else 0)

    return struct.pack("<1024Q", *entries())


# ---- what is compared

_lists: WeakKeyDictionary[Vcpu, list[int]] = WeakKeyDictionary()


def every_register(vcpu: Vcpu) -> list[int]:
    """KVM_GET_REG_LIST, asked once a vCPU: its features do not change. Raises `KvmError`."""
    if vcpu not in _lists:
        _lists[vcpu] = register_list(vcpu)
    return _lists[vcpu]


def registers(vcpu: Vcpu) -> Mapping[str, int]:
    """General, vector and predicate registers, and the system registers that EL1 writes."""
    found = get_registers(vcpu, list(filter(_of_a_program, every_register(vcpu))))
    return {names.name(number): value for number, value in found.items()}


def _of_a_program(number: int) -> bool:
    kind = names.group(number)
    if kind == lib.KVM_REG_ARM64_SVE:
        return names.name(number) != "sve_lengths"
    return kind == lib.KVM_REG_ARM_CORE or number in _SYSTEM_NUMBERS


def copy_state(source: Vcpu, target: Vcpu) -> None:
    """What `registers()` has; no events, no timer, no GIC."""
    for name, value in registers(source).items():
        number = next(each for each in every_register(source) if names.name(each) == name)
        set_register(target, number, value)


# ---- single registers


def program_counter(vcpu: Vcpu) -> int:
    """PC."""
    return get_register(vcpu, names.number("pc"))


def accumulator(vcpu: Vcpu) -> int:
    """X0."""
    return get_register(vcpu, names.number("x0"))


def set_accumulator(vcpu: Vcpu, value: int) -> None:
    """X0."""
    set_register(vcpu, names.number("x0"), value)


def scratch(vcpu: Vcpu) -> int:
    """X27."""
    return get_register(vcpu, names.number("x27"))


def set_scratch(vcpu: Vcpu, value: int) -> None:
    """X27, which no program uses."""
    set_register(vcpu, names.number("x27"), value)
