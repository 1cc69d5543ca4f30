# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: the names of `harness.kvm.arch.interface`, which mypy holds this package to.

ioctls      what only x86 has, each with its struct
state       where a vCPU begins; what is compared, saved and restored
devices     how the guest speaks: ports and MSRs
standstill  why a vCPU stands still
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path

from guest_blobs import memory_map as at
from harness.kvm import abi
from harness.kvm.arch.interface import NoIrqchipError, NoNestedGuestError
from harness.kvm.arch.x86_64 import ioctls
from harness.kvm.arch.x86_64.devices import CHANNELS, SPEECH, answer, said
from harness.kvm.arch.x86_64.patterns import fill
from harness.kvm.arch.x86_64.readable import (
    COMPLETION_CHANGES,
    COUNTS_RUNS,
    COUNTS_SIGNALS,
    COUNTS_TIME,
    whole,
)
from harness.kvm.arch.x86_64.standstill import standstill
from harness.kvm.arch.x86_64.state import (
    MODES,
    accumulator,
    copy_state,
    enter,
    program_counter,
    registers,
    scratch,
    set_accumulator,
    set_scratch,
)
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import ffi, lib

__all__ = [
    "CHANNELS",
    "COMPLETED_BY_REASON",
    "COMPLETION_BITS",
    "COMPLETION_CHANGES",
    "COMPLETION_REGISTERS",
    "COUNTS_RUNS",
    "COUNTS_SIGNALS",
    "COUNTS_TIME",
    "FAST_PATHS",
    "HALTS_IN_KERNEL",
    "IRQCHIPS",
    "MODES",
    "NAME",
    "RAM_BASE",
    "SINGLE_STEPS",
    "SPEECH",
    "STATISTICS",
    "VCPU_NUMBERS",
    "accumulator",
    "answer",
    "complete_vm",
    "configure",
    "copy_state",
    "crossing_datum",
    "deliver_interrupt",
    "enable_hypercall_exits",
    "enter",
    "fill",
    "halted",
    "hypercall_program",
    "nested_program",
    "prepare_vm",
    "program_counter",
    "registers",
    "said",
    "scratch",
    "set_accumulator",
    "set_scratch",
    "standstill",
    "whole",
]

NAME = "x86_64"
RAM_BASE = 0
IRQCHIPS: tuple[str, ...] = ("none", "split", "full")
HALTS_IN_KERNEL: tuple[str, ...] = ("split", "full")
VCPU_NUMBERS: tuple[str, ...] = ("KVM_CAP_MAX_VCPU_ID", "KVM_CAP_MAX_VCPUS")
COMPLETION_REGISTERS: tuple[str, ...] = ("rax", "rip")
# The resume flag, which some processors set at an exit, and the end of an instruction clears.
COMPLETION_BITS: Mapping[str, int] = {"rflags": 1 << 16}
STATISTICS: Mapping[str, str] = {"interrupts": "irq_injections", "halts": "halt_exits"}
COMPLETED_BY_REASON: frozenset[str] = frozenset()
SINGLE_STEPS = True
FAST_PATHS: Mapping[str, str] = {"deadline": "deadline_writer", "icr": "icr_writer"}

_CPUID_VMX, _CPUID_SVM = 1 << 5, 1 << 2  # ecx of leaf 1, ecx of leaf 0x80000001
_TSS_ADDRESS, _IDENTITY_MAP_ADDRESS = 0xFFFBD000, 0xFFFBC000
_PAGE_BYTES = 0x1000
_KVM_PVM = Path("/sys/module/kvm_pvm")


def prepare_vm(vm: Vm, irqchip: str = "none") -> None:
    """Three pages that VMX on old processors needs for real mode (api.rst 4.30, 4.41).

    And the controller: each vCPU made after it has a local APIC.
    """
    address = ffi.new("uint64_t *", _IDENTITY_MAP_ADDRESS)
    vm.ioctl("KVM_SET_IDENTITY_MAP_ADDR", address)
    vm.ioctl("KVM_SET_TSS_ADDR", _TSS_ADDRESS)
    if not ioctls.create_irqchip(vm, irqchip):
        raise NoIrqchipError(f"the in-kernel irqchip ({irqchip})", errno.EOPNOTSUPP)


def complete_vm(vm: Vm) -> None:
    """Nothing."""


def configure(vcpu: Vcpu) -> None:
    """Everything that KVM supports is offered to the guest."""
    ioctls.set_cpuid(vcpu, ioctls.supported_cpuid())


def halted(vcpu: Vcpu) -> bool | None:
    """KVM_MP_STATE_HALTED. Without a local APIC KVM_RUN leaves with KVM_EXIT_HLT instead."""
    return vcpu.mp_state() == abi.constant("KVM_MP_STATE_HALTED")


def deliver_interrupt(vm: Vm, vcpu: Vcpu) -> None:
    """Vector 0x20: as an MSI to APIC id 0, or by KVM_INTERRUPT without a local APIC."""
    if vm.irqchip == "none":
        vcpu.interrupt(ioctls.INTERRUPT_VECTOR)
    else:
        vm.signal_msi(ioctls.X2APIC_MSI_ADDRESS, ioctls.INTERRUPT_VECTOR)


def crossing_datum(mode: str) -> tuple[int, int]:
    """guest_blobs/x86_64/mmio_cross.S: half of the datum on each side of a page's end."""
    size = 8 if mode == "long" else 4
    return at.MMIO_BASE + _PAGE_BYTES - size // 2, size


def hypercall_program() -> Mapping[int, int]:
    """KVM_HC_MAP_GPA_RANGE (Documentation/virt/kvm/x86/hypercalls.rst) of one page."""
    return {
        3: ioctls.hypercall_instruction(),
        4: int(lib.KVM_HC_MAP_GPA_RANGE),
        5: at.RAM_SIZE - _PAGE_BYTES,
        6: 1,
        7: 0,
    }


def enable_hypercall_exits(vm: Vm) -> bool:
    """KVM_CAP_EXIT_HYPERCALL (Linux 5.14) for KVM_HC_MAP_GPA_RANGE.

    The quirk that patches the hypercall instruction in place (5.19 lets it be turned off) is
    turned off: kvm_pvm, which has no hypercall exits, would run into it for ever. So there they are
    not asked for where it cannot be turned off.
    """
    wanted = 1 << int(lib.KVM_HC_MAP_GPA_RANGE)
    if not vm.check_extension("KVM_CAP_EXIT_HYPERCALL") & wanted:
        return False
    quirk = int(lib.KVM_X86_QUIRK_FIX_HYPERCALL_INSN)
    if vm.check_extension("KVM_CAP_DISABLE_QUIRKS2") & quirk:
        vm.enable_cap("KVM_CAP_DISABLE_QUIRKS2", quirk)
    elif _KVM_PVM.exists():
        return False
    vm.enable_cap("KVM_CAP_EXIT_HYPERCALL", wanted)
    return True


def nested_program() -> str:
    """nested_svm, where KVM offers SVM to its guests (kvm_amd's parameter nested).

    `configure()` has then offered it: a vCPU may set EFER.SVME only if its CPUID shows SVM.
    """
    if ioctls.supported_leaf(0x80000001).ecx & _CPUID_SVM:
        return "nested_svm"
    if ioctls.supported_leaf(1).ecx & _CPUID_VMX:
        raise NoNestedGuestError("KVM offers VMX to its guests, and the x86 program is for SVM")
    raise NoNestedGuestError("KVM offers neither SVM nor VMX to its guests")
