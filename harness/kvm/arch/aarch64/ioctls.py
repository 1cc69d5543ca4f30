# SPDX-License-Identifier: GPL-2.0-only
"""arm64: the ioctls that only it has, each with its struct."""

from __future__ import annotations

import errno
import functools
from typing import Any

from harness.kvm import abi
from harness.kvm.abi import KvmError
from harness.kvm.system import System
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import ffi, lib

#: What a vCPU may have, and what says that this KVM has it. Without its keys authentication of
#: pointers is both or none (api.rst 4.82).
_FEATURES = {
    "KVM_ARM_VCPU_PSCI_0_2": ("KVM_CAP_ARM_PSCI_0_2",),
    "KVM_ARM_VCPU_SVE": ("KVM_CAP_ARM_SVE",),
    "KVM_ARM_VCPU_PTRAUTH_ADDRESS": (
        *("KVM_CAP_ARM_PTRAUTH_ADDRESS", "KVM_CAP_ARM_PTRAUTH_GENERIC"),
    ),
    "KVM_ARM_VCPU_PTRAUTH_GENERIC": (
        *("KVM_CAP_ARM_PTRAUTH_ADDRESS", "KVM_CAP_ARM_PTRAUTH_GENERIC"),
    ),
}
# KVM_IRQ_LINE (api.rst 4.25): bits 24 to 27 the kind, 16 to 23 the vCPU, 0 to 15 the number.
_LINE_OF_A_VCPU, _LINE_SHARED = 0 << 24, 1 << 24


# ---- a vCPU's begin


@functools.cache
def features() -> tuple[str, ...]:
    """All of `_FEATURES` that this KVM has, asked once a process. Raises `KvmError`."""
    with System() as system:
        return tuple(
            name
            for name, needed in _FEATURES.items()
            if all(system.check_extension(capability) for capability in needed)
        )


@functools.cache
def _target() -> int:
    """KVM_ARM_PREFERRED_TARGET, which is the same for every VM of a host."""
    with System() as system, system.create_vm() as vm:
        found = ffi.new("struct kvm_vcpu_init *")
        vm.ioctl("KVM_ARM_PREFERRED_TARGET", found)
        return int(found.target)


def init_vcpu(vcpu: Vcpu, *names: str) -> None:
    """KVM_ARM_VCPU_INIT (api.rst 4.82) with these features. A second one resets the vCPU.

    Raises `KvmError`, with EINVAL where they are others than the first time.
    """
    request = ffi.new("struct kvm_vcpu_init *", {"target": _target()})
    for name in names:
        bit = abi.constant(name)
        request.features[bit // 32] |= 1 << bit % 32
    vcpu.ioctl("KVM_ARM_VCPU_INIT", request)


def finalize_sve(vcpu: Vcpu) -> None:
    """KVM_ARM_VCPU_FINALIZE (api.rst 4.119): a vCPU with SVE does not run before. Once is enough.

    Raises `KvmError`.
    """
    what = ffi.new("int *", int(lib.KVM_ARM_VCPU_SVE))
    value = abi.ioctl_raw(vcpu.fd, "KVM_ARM_VCPU_FINALIZE", what)
    if value not in (0, -errno.EPERM):  # EPERM: it is already
        raise KvmError("KVM_ARM_VCPU_FINALIZE", -value)


def affinity(number: int) -> int:
    """MPIDR_EL1's affinity of a vCPU's number (arch/arm64/kvm/sys_regs.c, reset_mpidr())."""
    return number & 0xF | (number >> 4 & 0xFF) << 8 | (number >> 12 & 0xFF) << 16


# ---- events and interrupts


def get_events(vcpu: Vcpu) -> Any:
    """KVM_GET_VCPU_EVENTS: a fresh `struct kvm_vcpu_events *`. Raises `KvmError`."""
    events = ffi.new("struct kvm_vcpu_events *")
    vcpu.ioctl("KVM_GET_VCPU_EVENTS", events)
    return events


def set_events(vcpu: Vcpu, events: Any) -> None:
    """KVM_SET_VCPU_EVENTS. Raises `KvmError`."""
    vcpu.ioctl("KVM_SET_VCPU_EVENTS", events)


def set_interrupt_pin(vm: Vm, number: int, *, level: bool) -> None:
    """The pin of a vCPU without a controller in the kernel. Raises `KvmError`."""
    vm.set_irq_line(_LINE_OF_A_VCPU | number << 16 | int(lib.KVM_ARM_IRQ_CPU_IRQ), level=level)


def pulse_shared(vm: Vm, interrupt: int) -> None:
    """A line of the GIC's distributor goes up and down again. Raises `KvmError`."""
    for level in (True, False):
        vm.set_irq_line(_LINE_SHARED | interrupt, level=level)


# ---- calls of the SMC Calling Convention


def forward_calls(vm: Vm, first: int, count: int) -> bool:
    """KVM_ARM_VM_SMCCC_FILTER (Linux 6.4): these calls leave with KVM_EXIT_HYPERCALL.

    Before the VM's first KVM_RUN; a second time is as once. False where this KVM cannot. Raises
    `KvmError`.
    """
    kept = ffi.new(
        "struct kvm_smccc_filter *",
        {"base": first, "nr_functions": count, "action": int(lib.KVM_SMCCC_FILTER_FWD_TO_USER)},
    )
    request = ffi.new("struct kvm_device_attr *")
    request.group = lib.KVM_ARM_VM_SMCCC_CTRL
    request.attr = lib.KVM_ARM_VM_SMCCC_FILTER
    request.addr = int(ffi.cast("uintptr_t", kept))
    if abi.ioctl_raw(vm.fd, "KVM_HAS_DEVICE_ATTR", request):
        return False
    value = abi.ioctl_raw(vm.fd, "KVM_SET_DEVICE_ATTR", request)
    if value not in (0, -errno.EEXIST):
        raise KvmError("KVM_SET_DEVICE_ATTR of KVM_ARM_VM_SMCCC_FILTER", -value)
    return True
