# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: the interfaces of other hypervisors, Xen and Hyper-V, that KVM can offer to a guest."""

from __future__ import annotations

from collections.abc import Mapping

from harness.kvm import abi
from harness.kvm.arch.x86_64 import ioctls
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import ffi, lib

#: Hyper-V's MSRs (TLFS, appendix F) for the guest's identity and for its SynIC.
HYPERV_GUEST_OS_ID = 0x4000_0000
SYNIC_CONTROL, SYNIC_EVENT_PAGE, SYNIC_MESSAGE_PAGE = 0x4000_0080, 0x4000_0082, 0x4000_0083
#: Control words of hypercalls that KVM leaves to userspace: HvPostMessage, and HvSignalEvent with
#: its parameter in a register.
POST_MESSAGE, SIGNAL_EVENT = 0x5C, 0x1_005D

_XEN_MSR = 0x4000_0200  # by which a guest would ask for the page of hypercalls
_XEN_CALL = 60  # KVM has no such call of its own
_INTERFACE_LEAF, _INTERFACE = 0x4000_0001, 0x31237648  # CPUID: "Hv#1"
_SOME_GUEST = 0x1000  # GUEST_OS_ID: any number but 0 turns hypercalls on
# Data words of the program hypercall: vmmcall or vmcall, then eax/rax, ebx, ecx, edx and esi.
_INSTRUCTION, _AX, _BX, _CX, _DX, _SI = 3, 4, 5, 6, 7, 8


def intercept_xen_hypercalls(vm: Vm) -> bool:
    """KVM_XEN_HVM_CONFIG (api.rst 4.70) with hypercalls that leave to userspace, Linux 5.12.

    False where this KVM has it not. Raises `KvmError`.
    """
    flag = int(lib.KVM_XEN_HVM_CONFIG_INTERCEPT_HCALL)
    if not vm.check_extension("KVM_CAP_XEN_HVM") & flag:
        return False
    config = ffi.new("struct kvm_xen_hvm_config *")
    config.flags, config.msr = flag, _XEN_MSR
    vm.ioctl("KVM_XEN_HVM_CONFIG", config)
    return True


def xen_call() -> Mapping[int, int]:
    """Data words for the program `hypercall`: a call with some arguments."""
    return {
        _INSTRUCTION: ioctls.hypercall_instruction(),
        _AX: _XEN_CALL,
        _BX: 1,
        _CX: 2,
        _DX: 3,
        _SI: 4,
    }


def offer_hyperv(vm: Vm, vcpu: Vcpu) -> bool:
    """Hypercalls and the SynIC (KVM_CAP_HYPERV_SYNIC2, Linux 4.13), before the vCPU's first run.

    Its CPUID says so, and its guest has said who it is. It takes an interrupt controller in the
    kernel. False where this KVM has it not. Raises `KvmError`.
    """
    if not vm.check_extension("KVM_CAP_HYPERV_SYNIC2"):
        return False
    cpuid = ioctls.get_cpuid(vcpu)
    leaves = {int(entry.function): entry for entry in cpuid.entries[0 : cpuid.nent]}
    if _INTERFACE_LEAF not in leaves:
        leaves[_INTERFACE_LEAF] = cpuid.entries[cpuid.nent]
        cpuid.nent += 1
    leaves[_INTERFACE_LEAF].function = _INTERFACE_LEAF
    leaves[_INTERFACE_LEAF].eax = _INTERFACE
    ioctls.set_cpuid(vcpu, cpuid)
    request = ffi.new("struct kvm_enable_cap *")
    request.cap = abi.constant("KVM_CAP_HYPERV_SYNIC2")
    vcpu.ioctl("KVM_ENABLE_CAP", request)
    ioctls.set_msr(vcpu, HYPERV_GUEST_OS_ID, _SOME_GUEST)
    return True


def hyperv_call(mode: str, control: int, parameter: int) -> Mapping[int, int]:
    """Data words for the program `hypercall` (TLFS 3.7): rcx and rdx, or edx:eax and ebx:ecx."""
    words = {_INSTRUCTION: ioctls.hypercall_instruction(), _AX: control, _BX: 0, _SI: 0}
    if mode == "long":
        return {**words, _CX: control, _DX: parameter}
    return {**words, _CX: parameter, _DX: 0}
