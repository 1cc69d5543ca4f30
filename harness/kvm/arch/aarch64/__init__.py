# SPDX-License-Identifier: GPL-2.0-only
"""arm64: the names of `harness.kvm.arch.interface`, which mypy holds this package to.

names       registers by number and by name
ioctls      what only arm64 has, each with its struct
gic         the interrupt controller in the kernel
state       where a vCPU begins; what is compared, saved and restored
devices     how the guest speaks: MMIO and calls
standstill  why a vCPU stands still
"""

from __future__ import annotations

import errno
from collections.abc import Mapping

from guest_blobs import memory_map as at
from harness.kvm.arch.aarch64 import gic, ioctls, state
from harness.kvm.arch.aarch64.devices import (
    CALL,
    CHANNELS,
    forward_call,
)
from harness.kvm.arch.aarch64.patterns import fill
from harness.kvm.arch.aarch64.readable import (
    COMPLETION_CHANGES,
    COUNTS_RUNS,
    COUNTS_SIGNALS,
    COUNTS_TIME,
    whole,
)
from harness.kvm.arch.aarch64.standstill import standstill
from harness.kvm.arch.aarch64.state import (
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
from harness.kvm.arch.interface import NoIrqchipError, NoNestedGuestError
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

NAME = "aarch64"
RAM_BASE = 0
IRQCHIPS: tuple[str, ...] = ("none", "gic")
HALTS_IN_KERNEL: tuple[str, ...] = IRQCHIPS[1:]
VCPU_NUMBERS: tuple[str, ...] = ("KVM_CAP_MAX_VCPU_ID", "KVM_CAP_MAX_VCPUS")
COMPLETION_REGISTERS: tuple[str, ...] = ("x0", "pc")
COMPLETION_BITS: Mapping[str, int] = {}
# What KVM completes it has noted elsewhere as well (mmio_needed).
COMPLETED_BY_REASON: frozenset[str] = frozenset()
SINGLE_STEPS = True
STATISTICS: Mapping[str, str] = {"halts": "wfi_exit_stat"}
FAST_PATHS: Mapping[str, str] = {}

_FUNCTION = 4  # a data word of the program hypercall


def prepare_vm(vm: Vm, irqchip: str = "none") -> None:
    """The GICv3, whose vCPUs come after it."""
    if irqchip not in IRQCHIPS:
        raise ValueError(f"irqchip {irqchip!r}: one of {', '.join(IRQCHIPS)}")
    if irqchip == "gic" and not gic.create(vm):
        raise NoIrqchipError("the GICv3 in the kernel", errno.EOPNOTSUPP)
    vm.irqchip = irqchip


def complete_vm(vm: Vm) -> None:
    """The GIC is initialized once its vCPUs are there."""
    if vm.irqchip == "gic":
        gic.turn_on(vm)


def configure(vcpu: Vcpu) -> None:
    """KVM_ARM_VCPU_INIT, with all that KVM supports: it does nothing of a vCPU before."""
    features = ioctls.features()
    ioctls.init_vcpu(vcpu, *features)
    if "KVM_ARM_VCPU_SVE" in features:
        ioctls.finalize_sve(vcpu)
    state.clear_undefined(vcpu)


def halted(vcpu: Vcpu) -> bool | None:
    """KVM never says so: WFI is a hint, which a signal may end as well."""
    return None


def deliver_interrupt(vm: Vm, vcpu: Vcpu) -> None:
    """By the GIC, or by the pin of the vCPU 0, which goes down first if it is up."""
    if vm.irqchip == "gic":
        gic.deliver(vm)
    else:
        ioctls.set_interrupt_pin(vm, 0, level=False)
        ioctls.set_interrupt_pin(vm, 0, level=True)


def crossing_datum(mode: str) -> tuple[int, int]:
    """No program mmio_cross: KVM tells an access across pages as one (io_mem_abort())."""
    return at.MMIO_BASE, 8


def hypercall_program() -> Mapping[int, int]:
    """CALL, by HVC."""
    return {_FUNCTION: CALL}


def enable_hypercall_exits(vm: Vm) -> bool:
    """KVM_ARM_VM_SMCCC_FILTER (Linux 6.4)."""
    return forward_call(vm)


def nested_program() -> str:
    """None: KVM offers EL2 to a guest from Linux 6.16 on, by KVM_CAP_ARM_EL2."""
    raise NoNestedGuestError("there is no program for EL2 yet")
