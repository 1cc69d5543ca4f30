# SPDX-License-Identifier: GPL-2.0-only
"""riscv64: the names of `harness.kvm.arch.interface`, which mypy holds this package to.

numbers     of registers, which are all that KVM has of a vCPU here
state       where a vCPU begins; what is compared, saved and restored
devices     how the guest speaks: by MMIO; and its calls of the SBI
aia         the interrupt controller in the kernel
interrupts  without it: one that ends when the guest has taken it
standstill  why a vCPU stands still
"""

from __future__ import annotations

import errno
from collections.abc import Mapping

from guest_blobs import memory_map as at
from harness.kvm.arch.interface import NoIrqchipError, NoNestedGuestError
from harness.kvm.arch.riscv64 import aia, interrupts
from harness.kvm.arch.riscv64.devices import CHANNELS, EXTENSION, FUNCTION
from harness.kvm.arch.riscv64.patterns import fill
from harness.kvm.arch.riscv64.readable import (
    COMPLETION_CHANGES,
    COUNTS_RUNS,
    COUNTS_SIGNALS,
    COUNTS_TIME,
    whole,
)
from harness.kvm.arch.riscv64.standstill import standstill
from harness.kvm.arch.riscv64.state import (
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
from harness.kvm.mmio_speech import SPEECH, answer, said
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm

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

NAME = "riscv64"
RAM_BASE = 0
IRQCHIPS: tuple[str, ...] = ("none", "aia")
HALTS_IN_KERNEL: tuple[str, ...] = ("aia", "none")  # few processors have the first
VCPU_NUMBERS: tuple[str, ...] = ("KVM_CAP_MAX_VCPU_ID", "KVM_CAP_MAX_VCPUS")
COMPLETION_REGISTERS: tuple[str, ...] = ("a0", "pc")
COMPLETION_BITS: Mapping[str, int] = {}
STATISTICS: Mapping[str, str] = {"halts": "wfi_exit_stat"}
# kvm_arch_vcpu_ioctl_run(), which asks only whether its last operation of the kind was ended: of a
# vCPU that never had one it ends what was never begun.
COMPLETED_BY_REASON: frozenset[str] = frozenset(
    {"KVM_EXIT_MMIO", "KVM_EXIT_RISCV_SBI", "KVM_EXIT_RISCV_CSR"}
)
# kvm_arch_vcpu_ioctl_set_guest_debug() knows of breakpoints (ebreak) only.
SINGLE_STEPS = False
FAST_PATHS: Mapping[str, str] = {}


def prepare_vm(vm: Vm, irqchip: str = "none") -> None:
    """The controller of the AIA, whose vCPUs come after it."""
    if irqchip not in IRQCHIPS:
        raise ValueError(f"irqchip {irqchip!r}: one of {', '.join(IRQCHIPS)}")
    if irqchip == "aia" and not aia.create(vm):
        raise NoIrqchipError("the controller of the AIA in the kernel", errno.EOPNOTSUPP)
    vm.irqchip = irqchip


def complete_vm(vm: Vm) -> None:
    """The AIA is initialized once its vCPUs are there."""
    if vm.irqchip == "aia":
        aia.turn_on(vm, vm.vcpu_count)


def configure(vcpu: Vcpu) -> None:
    """Nothing: KVM gives a vCPU all of the ISA that it supports."""


def halted(vcpu: Vcpu) -> bool | None:
    """KVM does not say: a wait for an interrupt is no MP state."""
    return None


def deliver_interrupt(vm: Vm, vcpu: Vcpu) -> None:
    """By the AIA for the vCPU 0; else a software interrupt, which each of the VM's vCPUs has."""
    if vm.irqchip == "aia":
        aia.deliver(vm)
    else:
        interrupts.send(vm)


def crossing_datum(mode: str) -> tuple[int, int]:
    """No access takes several exits: KVM refuses one that is not aligned (EIO)."""
    return at.MMIO_BASE, 0


def hypercall_program() -> Mapping[int, int]:
    """A call of the SBI that KVM forwards."""
    return {4: EXTENSION, 5: FUNCTION, 6: 0x11, 7: 0x22, 8: 0x33}


def enable_hypercall_exits(vm: Vm) -> bool:
    """Nothing is to be enabled."""
    return True


def nested_program() -> str:
    """None: KVM offers no hypervisor extension to its guests."""
    raise NoNestedGuestError("KVM offers its guests no hypervisor extension")
