# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: what userspace may set of a VM and a vCPU besides the state that a guest has.

Each function raises `KvmError`; `LackingError` where this KVM says that it has not what is set.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterator
from typing import Any

from harness.kvm import abi, device_attributes
from harness.kvm.abi import LackingError
from harness.kvm.arch.x86_64 import ioctls
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import ffi, lib

#: What a guest shares with KVM by a page, each enabled by bit 0 of its MSR
#: (Documentation/virt/kvm/x86/msr.rst): wall clock, clock, page faults, steal time, EOI.
SHARED_PAGES = (0x4B564D00, 0x4B564D01, 0x4B564D02, 0x4B564D03, 0x4B564D04)
CLOCK_PAGE = 0x4B564D01
#: Hyper-V's (TLFS 4.0, appendix F): what the guest is, and its pages: hypercall, TSC, assist.
HYPERV_GUEST, HYPERV_PAGES = 0x40000000, (0x40000001, 0x40000021, 0x40000073)
HYPERV_RESET = 0x40000003
LINUX_ON_HYPERV = 0x8100_0000_0000_0000
DEBUGCTL = 0x1D9
_ADDRESS_WIDTHS = 0x80000008
VENDOR_LEAVES = (0, 0x80000000)  # of CPUID, in EBX, EDX and ECX
_XEN_MSR = 0x40000000  # where Xen's hypercall page is set up
_DEBUG_REGISTERS = 8  # where they begin in struct kvm_guest_debug, behind control and pad
_DR7 = 7


def need(vm: Vm, capability: str) -> int:
    """What the VM answers to a capability, which is not 0."""
    answer = vm.check_extension(capability)
    if not answer:
        raise LackingError(capability, errno.EOPNOTSUPP)
    return answer


# ---- of a VM


def boot_processor(vm: Vm, number: int) -> None:
    """KVM_SET_BOOT_CPU_ID: which vCPU starts by itself. Before the first vCPU."""
    need(vm, "KVM_CAP_SET_BOOT_CPU_ID")
    vm.ioctl("KVM_SET_BOOT_CPU_ID", number)


def timer_chip(vm: Vm) -> None:
    """KVM_CREATE_PIT2, and its lost ticks are not made up for. Needs the full irqchip."""
    need(vm, "KVM_CAP_PIT2")
    vm.ioctl("KVM_CREATE_PIT2", ffi.new("struct kvm_pit_config *"))
    if vm.check_extension("KVM_CAP_REINJECT_CONTROL"):
        vm.ioctl("KVM_REINJECT_CONTROL", ffi.new("struct kvm_reinject_control *"))


def mmu_pages(vm: Vm, count: int) -> None:
    """KVM_SET_NR_MMU_PAGES (api.rst 4.44)."""
    vm.ioctl("KVM_SET_NR_MMU_PAGES", count)


def clock(vm: Vm, nanoseconds: int) -> None:
    """KVM_SET_CLOCK."""
    need(vm, "KVM_CAP_ADJUST_CLOCK")
    vm.ioctl("KVM_SET_CLOCK", ffi.new("struct kvm_clock_data *", {"clock": nanoseconds}))


def xen(vm: Vm) -> None:
    """KVM_XEN_HVM_CONFIG: the guest may set up Xen's hypercall page."""
    need(vm, "KVM_CAP_XEN_HVM")
    vm.ioctl("KVM_XEN_HVM_CONFIG", ffi.new("struct kvm_xen_hvm_config *", {"msr": _XEN_MSR}))


def event_filter(vm: Vm) -> None:
    """KVM_SET_PMU_EVENT_FILTER that denies no event by name, but each fixed counter."""
    need(vm, "KVM_CAP_PMU_EVENT_FILTER")
    wanted = ffi.new("struct kvm_pmu_event_filter *")
    wanted.action, wanted.fixed_counter_bitmap = lib.KVM_PMU_EVENT_DENY, 0xFFFF
    vm.ioctl("KVM_SET_PMU_EVENT_FILTER", wanted)


def address_space(vm: Vm, space: int, slot: int) -> None:
    """A slot's memory in system management mode's address space as well."""
    need(vm, "KVM_CAP_X86_SMM")
    vm.add_memory_to(space, slot)


# ---- of a vCPU


def capability(vcpu: Vcpu, name: str, argument: int) -> None:
    """KVM_ENABLE_CAP on the vCPU."""
    request = ffi.new("struct kvm_enable_cap *", {"cap": abi.constant(name)})
    request.args[0] = argument
    vcpu.ioctl("KVM_ENABLE_CAP", request)


def guest_debug(vcpu: Vcpu, *controls: str, addresses: tuple[int, ...] = ()) -> None:
    """KVM_SET_GUEST_DEBUG with KVM_GUESTDBG_ of these names; addresses of hardware breakpoints."""
    request = ffi.new("struct kvm_guest_debug *")
    for name in controls:
        request.control |= abi.constant(f"KVM_GUESTDBG_{name}")
    registers = ffi.cast("uint64_t *", ffi.cast("uint8_t *", request) + _DEBUG_REGISTERS)
    for number, address in enumerate(addresses):
        registers[number] = address
        registers[_DR7] |= 1 << 2 * number  # enabled for this task: executed, one byte
    vcpu.ioctl("KVM_SET_GUEST_DEBUG", request)


def tpr_reports(vcpu: Vcpu, *, enabled: bool) -> None:
    """KVM_TPR_ACCESS_REPORTING (KVM_CAP_VAPIC)."""
    vcpu.ioctl("KVM_TPR_ACCESS_REPORTING", ffi.new("struct kvm_tpr_access_ctl *", [enabled]))


def vapic(vcpu: Vcpu, address: int) -> None:
    """KVM_SET_VAPIC_ADDR: the guest's page that shadows the TPR; 0 for none."""
    vcpu.ioctl("KVM_SET_VAPIC_ADDR", ffi.new("struct kvm_vapic_addr *", [address]))


def machine_checks(vcpu: Vcpu, banks: int) -> None:
    """KVM_X86_SETUP_MCE with so many banks and a control register (MCG_CTL_P)."""
    vcpu.ioctl("KVM_X86_SETUP_MCE", ffi.new("uint64_t *", banks | 1 << 8))


def tsc_khz(vcpu: Vcpu, khz: int) -> None:
    """KVM_SET_TSC_KHZ: the guest's TSC is scaled, or caught up with."""
    vcpu.ioctl("KVM_SET_TSC_KHZ", khz)


def tsc_offset(vcpu: Vcpu, offset: int) -> None:
    """KVM_VCPU_TSC_OFFSET (Linux 5.16), by KVM_SET_DEVICE_ATTR on the vCPU."""
    group, attribute = int(lib.KVM_VCPU_TSC_CTRL), int(lib.KVM_VCPU_TSC_OFFSET)
    device_attributes.set_to(vcpu.fd, group, attribute, offset)


def paused(vcpu: Vcpu) -> None:
    """KVM_KVMCLOCK_CTRL: the guest is told that it was stopped. EINVAL without its clock."""
    vcpu.ioctl("KVM_KVMCLOCK_CTRL")


def without_cpuid(vcpu: Vcpu) -> None:
    """KVM_SET_CPUID2 with no entry."""
    empty: Any = ffi.new("struct kvm_cpuid2 *", {"entries": 1})
    ioctls.set_cpuid(vcpu, empty)


def vendor(vcpu: Vcpu, name: bytes) -> None:
    """The guest's CPUID says that its processor is from this maker: twelve letters.

    Only before the vCPU has run: KVM then refuses another CPUID (Linux 5.16).
    """
    cpuid = ioctls.get_cpuid(vcpu)
    for entry in cpuid.entries[0 : cpuid.nent]:
        if entry.function in VENDOR_LEAVES:
            entry.ebx, entry.edx, entry.ecx = struct.unpack("<III", name)
    ioctls.set_cpuid(vcpu, cpuid)


def other_cpuids(vcpu: Vcpu) -> Iterator[str]:
    """Sets each register of each CPUID entry to other values, as far as KVM takes them.

    Yields what it is; one at a time, and then as it was. Only before the vCPU has run. Not the
    widths of addresses: older kernels shift by them as they are.
    """
    cpuid = ioctls.get_cpuid(vcpu)
    for entry in cpuid.entries[0 : cpuid.nent]:
        if entry.function == _ADDRESS_WIDTHS:
            continue
        for name in ("eax", "ebx", "ecx", "edx"):
            own = int(getattr(entry, name))
            for value in {0, own ^ 0xFFFFFFFF, 0xFFFFFFFF} - {own}:
                setattr(entry, name, value)
                if ioctls.takes_cpuid(vcpu, cpuid):
                    yield f"{name} of CPUID {entry.function:#x}.{entry.index} at {value:#x}"
            setattr(entry, name, own)
    ioctls.set_cpuid(vcpu, cpuid)
