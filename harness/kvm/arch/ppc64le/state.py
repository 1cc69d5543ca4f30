# SPDX-License-Identifier: GPL-2.0-only
"""ppc64le: a vCPU's state: where it begins, what is compared, saved and restored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import guest_blobs
from guest_blobs import Blob
from guest_blobs import memory_map as at
from guest_blobs.ppc64le.memory_map import PAGE_TABLES, PROCESS_TABLE
from harness.kvm.memory import Memory
from harness.kvm.registers import get_register, set_register
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import ffi, lib

MODES: tuple[str, ...] = ("real", "translated")

_SF, _ME, _IR, _DR, _RI, _LE = 1 << 63, 1 << 12, 1 << 5, 1 << 4, 1 << 1, 1
_FP, _VEC, _VSX = 1 << 13, 1 << 25, 1 << 23
# KVM sets ME by itself where it enters the guest (kvmhv_vcpu_entry_p9()).
_MSR = _SF | _FP | _VEC | _VSX | _ME | _RI | _LE

#: KVM_REG_PPC_LPCR_64, of which a part is the guest's.
LPCR = int(lib.KVM_REG_PPC) | int(lib.KVM_REG_SIZE_U64) | 0xB5
_LITTLE_ENDIAN_INTERRUPTS = 1 << 25  # ILE

# The radix tree (Power ISA 3.0B, book III, 5.7.10), which is big-endian whatever the guest is.
_VALID, _LEAF = 1 << 63, 1 << 62
_REFERENCED, _CHANGED = 1 << 8, 1 << 7
_PRIVILEGED, _READ, _WRITE, _EXECUTE = 1 << 3, 1 << 2, 1 << 1, 1
_RIGHTS = _PRIVILEGED | _READ | _WRITE | _EXECUTE
_GUEST_RADIX = 1 << 63  # kvmhv_configure_mmu(): as the flag says
_ROOT_BITS, _NEXT_BITS = 13, 9  # of an address, by which a table is indexed
_SIZE = (0b10 << 61) | (0b101 << 5)  # 52 bits of address: RTS is 21
_ROOT_BYTES = 8 << _ROOT_BITS

SPECIAL = (
    *("pc", "cr", "ctr", "lr", "xer", "msr", "srr0", "srr1", "pid"),
    *("sprg0", "sprg1", "sprg2", "sprg3"),
)


def get_regs(vcpu: Vcpu) -> Any:
    """KVM_GET_REGS: a `struct kvm_regs *`. Raises `KvmError`."""
    found = ffi.new("struct kvm_regs *")
    vcpu.ioctl("KVM_GET_REGS", found)
    return found


def set_regs(vcpu: Vcpu, regs: Any) -> None:
    """KVM_SET_REGS. Raises `KvmError`."""
    vcpu.ioctl("KVM_SET_REGS", regs)


def enter(vcpu: Vcpu, vm: Vm, ram: Memory, blob: Blob) -> None:
    """The entry state of guest_blobs/ppc64le/program.inc."""
    vectors = guest_blobs.load("vectors", "ppc64le", "real")
    ram.write(vectors.load_address, vectors.code)
    set_register(vcpu, LPCR, get_register(vcpu, LPCR) | _LITTLE_ENDIAN_INTERRUPTS)
    regs = ffi.new("struct kvm_regs *")
    regs.pc, regs.msr = blob.entry, _MSR
    regs.gpr[1] = at.STACK_TOP
    if blob.mode == "translated":
        _map_memory(ram)
        regs.msr |= _IR | _DR
    set_regs(vcpu, regs)


def register_tables(vm: Vm) -> None:
    """Where the VM's processes find their tables: of no matter to a guest in real mode.

    KVM_PPC_CONFIGURE_V3_MMU. Raises `KvmError`.
    """
    flags = int(lib.KVM_PPC_MMUV3_RADIX) | int(lib.KVM_PPC_MMUV3_GTSE)
    table = {"flags": flags, "process_table": _GUEST_RADIX | PROCESS_TABLE}
    vm.ioctl("KVM_PPC_CONFIGURE_V3_MMU", ffi.new("struct kvm_ppc_mmuv3_cfg *", table))


def _map_memory(ram: Memory) -> None:
    """The first GiB to itself, by one leaf in the second level."""
    below = PAGE_TABLES + _ROOT_BYTES
    leaf = _VALID | _LEAF | _REFERENCED | _CHANGED | _RIGHTS
    _store(ram, below, leaf)
    _store(ram, PAGE_TABLES, _VALID | below | _NEXT_BITS)
    _store(ram, PROCESS_TABLE, _SIZE | PAGE_TABLES | _ROOT_BITS)


def _store(ram: Memory, place: int, entry: int) -> None:
    ram.write(place, entry.to_bytes(8, "big"))


def registers(vcpu: Vcpu) -> Mapping[str, int]:
    """General and special registers, the machine state register among them."""
    regs = get_regs(vcpu)
    special = {name: int(getattr(regs, name)) for name in SPECIAL}
    return {**special, **{f"r{number}": int(regs.gpr[number]) for number in range(32)}}


def program_counter(vcpu: Vcpu) -> int:
    """NIP."""
    return int(get_regs(vcpu).pc)


def accumulator(vcpu: Vcpu) -> int:
    """r3."""
    return int(get_regs(vcpu).gpr[3])


def set_accumulator(vcpu: Vcpu, value: int) -> None:
    """r3."""
    _set(vcpu, 3, value)


def scratch(vcpu: Vcpu) -> int:
    """r14."""
    return int(get_regs(vcpu).gpr[14])


def set_scratch(vcpu: Vcpu, value: int) -> None:
    """r14, which no program uses."""
    _set(vcpu, 14, value)


def _set(vcpu: Vcpu, number: int, value: int) -> None:
    regs = get_regs(vcpu)
    regs.gpr[number] = value
    set_regs(vcpu, regs)


def copy_state(source: Vcpu, target: Vcpu) -> None:
    """General and special registers. The place of the tables is the VM's, and the same in each."""
    set_regs(target, get_regs(source))
