# SPDX-License-Identifier: GPL-2.0-only
"""riscv64: a vCPU's state: where it begins, what is compared, saved and restored."""

from __future__ import annotations

from collections.abc import Mapping

from guest_blobs import Blob
from guest_blobs import memory_map as at
from guest_blobs.riscv64.memory_map import IMSIC, KERNEL_ALIAS, PAGE_TABLES
from harness.kvm import abi
from harness.kvm.arch.riscv64.numbers import CORE, CSRS
from harness.kvm.memory import Memory
from harness.kvm.registers import get_register, get_registers, set_register
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm

MODES: tuple[str, ...] = ("bare", "user", "paged")

_USER, _SUPERVISOR = 0, 1  # KVM_RISCV_MODE_
_SSTATUS_SUM = 1 << 18
_SSTATUS_FS = 0x3 << 13  # the FPU is on, and its registers count as changed
_SSTATUS_UXL = 2 << 32  # user mode has 64 bits: the processor says so, whatever is written
_SV39 = 8 << 60
# An entry of a page table (privileged specification, 4.3.1): a page of 1 GiB in the root.
_VALID, _READ, _WRITE, _EXECUTE, _USER_PAGE = 1, 1 << 1, 1 << 2, 1 << 3, 1 << 4
_ACCESSED, _DIRTY = 1 << 6, 1 << 7
_LEAF = _VALID | _READ | _WRITE | _EXECUTE | _ACCESSED | _DIRTY
_GIB = 1 << 30

#: What an instruction of a guest could change. sip has what the host raised as well.
_COMPARED = {**CORE, **CSRS}


def enter(vcpu: Vcpu, vm: Vm, ram: Memory, blob: Blob) -> None:
    """The entry state of guest_blobs/riscv64/program.inc."""
    ram.write64(IMSIC, int(vm.irqchip != "none"))
    user, paged = blob.mode == "user", blob.mode != "bare"
    if paged:
        ram.write64(PAGE_TABLES, _LEAF | (_USER_PAGE if user else 0))
        ram.write64(PAGE_TABLES + 8 * (KERNEL_ALIAS // _GIB), _LEAF)
    first = {
        "pc": blob.entry,
        "sp": at.STACK_TOP,
        "mode": _USER if user else _SUPERVISOR,
        "stvec": blob.load_address + (KERNEL_ALIAS if user else 0),
        "sie": 0,
        "sstatus": _SSTATUS_SUM | _SSTATUS_FS | _SSTATUS_UXL,
        "satp": _SV39 | PAGE_TABLES >> 12 if paged else 0,
    }
    vcpu.set_mp_state(abi.constant("KVM_MP_STATE_RUNNABLE"))  # of a VM, only the first is
    for name, value in first.items():
        set_register(vcpu, _COMPARED[name], value)


def registers(vcpu: Vcpu) -> Mapping[str, int]:
    """General registers, privilege mode, and the supervisor's CSRs."""
    found = get_registers(vcpu, tuple(_COMPARED.values()), may_lack=True)
    return {name: found[number] for name, number in _COMPARED.items() if number in found}


def program_counter(vcpu: Vcpu) -> int:
    """pc."""
    return get_register(vcpu, CORE["pc"])


def accumulator(vcpu: Vcpu) -> int:
    """a0."""
    return get_register(vcpu, CORE["a0"])


def set_accumulator(vcpu: Vcpu, value: int) -> None:
    """a0."""
    set_register(vcpu, CORE["a0"], value)


def scratch(vcpu: Vcpu) -> int:
    """s11."""
    return get_register(vcpu, CORE["s11"])


def set_scratch(vcpu: Vcpu, value: int) -> None:
    """s11, which no program uses."""
    set_register(vcpu, CORE["s11"], value)


def copy_state(source: Vcpu, target: Vcpu) -> None:
    """General registers, privilege mode and CSRs; no timer."""
    found = get_registers(source, tuple(_COMPARED.values()), may_lack=True)
    for number, value in found.items():
        set_register(target, number, value)
