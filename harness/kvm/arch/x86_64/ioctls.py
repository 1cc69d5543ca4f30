# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: the ioctls that only it has, each with its struct."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from typing import Any

from harness.kvm import abi
from harness.kvm.system import System
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import ffi, lib

#: Memory as a processor in system management mode sees it (KVM_CAP_MULTI_ADDRESS_SPACE).
SMM_ADDRESS_SPACE = 1
INTERRUPT_VECTOR = 0x20
X2APIC_MSI_ADDRESS = 0xFEE00000
X2APIC_ENABLED = 1 << 10  # of the APIC's base
TSC = 0x10
TSC_DEADLINE = 0x6E0
MSI_NMI = 0x400  # delivery mode NMI (4 << 8)
_MSI_INIT = 0x4500  # delivery mode INIT (5 << 8), level assert (bit 14)
# Who keeps the interrupt controller, and what says that KVM can.
_IRQCHIPS = {"none": "", "split": "KVM_CAP_SPLIT_IRQCHIP", "full": "KVM_CAP_IRQCHIP"}
_SPLIT_PINS = 24
_CPUID_1_ECX_TSC_DEADLINE = 1 << 24


# ---- registers and events


def get_regs(vcpu: Vcpu) -> Any:
    """KVM_GET_REGS: a fresh `struct kvm_regs *`. Raises `KvmError`."""
    regs = ffi.new("struct kvm_regs *")
    vcpu.ioctl("KVM_GET_REGS", regs)
    return regs


def set_regs(vcpu: Vcpu, regs: Any) -> None:
    """KVM_SET_REGS. Raises `KvmError`."""
    vcpu.ioctl("KVM_SET_REGS", regs)


def get_sregs(vcpu: Vcpu) -> Any:
    """KVM_GET_SREGS: a fresh `struct kvm_sregs *`. Raises `KvmError`."""
    sregs = ffi.new("struct kvm_sregs *")
    vcpu.ioctl("KVM_GET_SREGS", sregs)
    return sregs


def set_sregs(vcpu: Vcpu, sregs: Any) -> None:
    """KVM_SET_SREGS. Raises `KvmError`."""
    vcpu.ioctl("KVM_SET_SREGS", sregs)


def get_events(vcpu: Vcpu) -> Any:
    """KVM_GET_VCPU_EVENTS: a fresh `struct kvm_vcpu_events *`. Raises `KvmError`."""
    events = ffi.new("struct kvm_vcpu_events *")
    vcpu.ioctl("KVM_GET_VCPU_EVENTS", events)
    return events


def set_events(vcpu: Vcpu, events: Any) -> None:
    """KVM_SET_VCPU_EVENTS. Raises `KvmError`."""
    vcpu.ioctl("KVM_SET_VCPU_EVENTS", events)


def events_flag(part: str) -> int:
    """The flag that makes KVM_SET_VCPU_EVENTS read a part: SHADOW, SMM and so on."""
    return abi.constant(f"KVM_VCPUEVENT_VALID_{part}")


def triple_fault_pending(events: Any) -> bool:
    """events.triple_fault.pending (KVM_CAP_X86_TRIPLE_FAULT_EVENT, Linux 6.0)."""
    return bool(lib.ke_triple_fault(events)[0])


def set_triple_fault_pending(events: Any, *, pending: bool = True) -> None:
    """The same, set; with the flag that makes KVM_SET_VCPU_EVENTS read it."""
    lib.ke_triple_fault(events)[0] = pending
    events.flags |= lib.KVM_VCPUEVENT_VALID_TRIPLE_FAULT


def nmi(vcpu: Vcpu) -> None:
    """KVM_NMI. Raises `KvmError`."""
    vcpu.ioctl("KVM_NMI")


def set_pending_exception(vcpu: Vcpu, events: Any, vector: int) -> None:
    """KVM_SET_VCPU_EVENTS with exception.pending, no payload. Needs the capability enabled."""
    events.exception.pending, events.exception.nr = 1, vector
    events.flags |= lib.KVM_VCPUEVENT_VALID_PAYLOAD
    set_events(vcpu, events)


def enable_exception_payload(vm: Vm) -> bool:
    """KVM_CAP_EXCEPTION_PAYLOAD (Linux 4.20); False where this KVM has it not."""
    if not vm.check_extension("KVM_CAP_EXCEPTION_PAYLOAD"):
        return False
    vm.enable_cap("KVM_CAP_EXCEPTION_PAYLOAD", 1)
    return True


def enable_triple_fault_event(vm: Vm) -> bool:
    """KVM_CAP_X86_TRIPLE_FAULT_EVENT (Linux 6.0); False where this KVM has it not."""
    if not vm.check_extension("KVM_CAP_X86_TRIPLE_FAULT_EVENT"):
        return False
    vm.enable_cap("KVM_CAP_X86_TRIPLE_FAULT_EVENT", 1)
    return True


def smi(vcpu: Vcpu) -> None:
    """KVM_SMI (KVM_CAP_X86_SMM). Raises `KvmError`."""
    vcpu.ioctl("KVM_SMI")


def sync_regs(vcpu: Vcpu) -> Any:
    """kvm_run's own `struct kvm_sync_regs *` (KVM_CAP_SYNC_REGS, api.rst section 5)."""
    return lib.ke_sync_regs(vcpu.run_page)


def sync_bit(kind: str) -> int:
    """The bit of "regs", "sregs" or "events" in kvm_valid_regs and kvm_dirty_regs."""
    return abi.constant(f"KVM_SYNC_X86_{kind.upper()}")


# ---- interrupts


def create_irqchip(vm: Vm, kind: str) -> bool:
    """KVM_CREATE_IRQCHIP, or its split form. Before the first vCPU.

    False where this KVM has none of that kind. Raises `KvmError`.
    """
    if kind not in _IRQCHIPS:
        raise ValueError(f"irqchip {kind!r}: one of {', '.join(_IRQCHIPS)}")
    if kind != "none" and not vm.check_extension(_IRQCHIPS[kind]):
        return False
    if kind == "split":
        vm.enable_cap("KVM_CAP_SPLIT_IRQCHIP", _SPLIT_PINS)
    elif kind == "full":
        vm.ioctl("KVM_CREATE_IRQCHIP")
    vm.irqchip = kind
    return True


def send_init(vm: Vm, apic_id: int) -> None:
    """An INIT to a processor, as an MSI. Raises `KvmError`."""
    vm.signal_msi(X2APIC_MSI_ADDRESS | apic_id << 12, _MSI_INIT)


def get_lapic(vcpu: Vcpu) -> Any:
    """KVM_GET_LAPIC: a fresh `struct kvm_lapic_state *`. Raises `KvmError`."""
    state = ffi.new("struct kvm_lapic_state *")
    vcpu.ioctl("KVM_GET_LAPIC", state)
    return state


def set_lapic(vcpu: Vcpu, state: Any) -> None:
    """KVM_SET_LAPIC. Raises `KvmError`."""
    vcpu.ioctl("KVM_SET_LAPIC", state)


def change_lapic(vcpu: Vcpu, registers: Mapping[int, int]) -> None:
    """KVM_SET_LAPIC with these registers, by their places in the page, changed. `KvmError`."""
    page = get_lapic(vcpu)
    view = ffi.buffer(page)
    for place, value in registers.items():
        view[place : place + 4] = value.to_bytes(4, "little")
    set_lapic(vcpu, page)


def tsc_khz(vcpu: Vcpu) -> int:
    """KVM_GET_TSC_KHZ: the rate of the guest's TSC in kHz. Raises `KvmError`."""
    return vcpu.ioctl("KVM_GET_TSC_KHZ")


# ---- MSRs


def get_msr(vcpu: Vcpu, index: int) -> int:
    """KVM_GET_MSRS of one. Raises `KvmError`, with ENOENT when KVM does not know the MSR."""
    return _msrs(vcpu, "KVM_GET_MSRS", index, 0)


def set_msr(vcpu: Vcpu, index: int, value: int) -> None:
    """KVM_SET_MSRS of one. Raises `KvmError`, with ENOENT when KVM does not know the MSR."""
    _msrs(vcpu, "KVM_SET_MSRS", index, value)


def deny_msr(vm: Vm, index: int) -> None:
    """KVM_X86_SET_MSR_FILTER: reads and writes of one MSR are denied. Raises `KvmError`."""
    bitmap = ffi.new("uint8_t[8]")
    msr_filter = ffi.new("struct kvm_msr_filter *")
    msr_filter.flags = lib.KVM_MSR_FILTER_DEFAULT_ALLOW
    one = msr_filter.ranges[0]
    one.flags = lib.KVM_MSR_FILTER_READ | lib.KVM_MSR_FILTER_WRITE
    one.nmsrs, one.base, one.bitmap = 1, index, bitmap
    vm.ioctl("KVM_X86_SET_MSR_FILTER", msr_filter)


def allow_every_msr(vm: Vm) -> None:
    """KVM_X86_SET_MSR_FILTER without a range: nothing is denied any more. Raises `KvmError`."""
    msr_filter = ffi.new("struct kvm_msr_filter *")
    msr_filter.flags = lib.KVM_MSR_FILTER_DEFAULT_ALLOW
    vm.ioctl("KVM_X86_SET_MSR_FILTER", msr_filter)


def enable_msr_exits(vm: Vm, *reasons: str) -> bool:
    """KVM_CAP_X86_USER_SPACE_MSR (Linux 5.10); False where this KVM cannot."""
    wanted = 0
    for reason in reasons:
        wanted |= abi.constant(f"KVM_MSR_EXIT_REASON_{reason}")
    if not vm.check_extension("KVM_CAP_X86_USER_SPACE_MSR"):
        return False
    vm.enable_cap("KVM_CAP_X86_USER_SPACE_MSR", wanted)
    return True


def _msrs(vcpu: Vcpu, ioctl: str, index: int, value: int) -> int:
    msrs = ffi.new("struct kvm_msrs *", {"entries": 1})
    msrs.nmsrs = 1
    msrs.entries[0].index, msrs.entries[0].data = index, value
    if vcpu.ioctl(ioctl, msrs) != 1:
        raise abi.KvmError(f"{ioctl} of MSR {index:#x}", errno.ENOENT)
    return int(msrs.entries[0].data)


# ---- CPUID


_supported: list[Any] = []


def supported_cpuid() -> Any:
    """KVM_GET_SUPPORTED_CPUID as a `struct kvm_cpuid2 *`, asked once a process."""
    if not _supported:
        with System() as system:
            cpuid = _new_cpuid()
            abi.ioctl(system.fd, "KVM_GET_SUPPORTED_CPUID", cpuid)
        _supported.append(cpuid)
    return _supported[0]


def get_cpuid(vcpu: Vcpu) -> Any:
    """KVM_GET_CPUID2 as a `struct kvm_cpuid2 *`. Raises `KvmError`."""
    cpuid = _new_cpuid()
    vcpu.ioctl("KVM_GET_CPUID2", cpuid)
    return cpuid


def set_cpuid(vcpu: Vcpu, cpuid: Any) -> None:
    """KVM_SET_CPUID2. Raises `KvmError`."""
    vcpu.ioctl("KVM_SET_CPUID2", cpuid)


def takes_cpuid(vcpu: Vcpu, cpuid: Any) -> bool:
    """KVM_SET_CPUID2; False where KVM refuses what stands there."""
    return abi.ioctl_raw(vcpu.fd, "KVM_SET_CPUID2", cpuid) == 0


def offer_tsc_deadline(vcpu: Vcpu) -> None:
    """Sets CPUID.1:ECX[24], which KVM leaves to userspace. Raises `KvmError`.

    KVM_GET_SUPPORTED_CPUID may lack it (api.rst 4.46): the capability says whether it works.
    """
    cpuid = get_cpuid(vcpu)
    for index in range(cpuid.nent):
        if cpuid.entries[index].function == 1:
            cpuid.entries[index].ecx |= _CPUID_1_ECX_TSC_DEADLINE
    set_cpuid(vcpu, cpuid)


def supported_leaf(function: int) -> Any:
    """The first entry of a CPUID function; all zero where KVM has none."""
    cpuid = supported_cpuid()
    for entry in cpuid.entries[0 : cpuid.nent]:
        if entry.function == function:
            return entry
    return ffi.new("struct kvm_cpuid_entry2 *")


def cpu_vendor() -> str:
    """AuthenticAMD, GenuineIntel and so on, as the guest would read it."""
    leaf = supported_leaf(0)
    words: Sequence[int] = (leaf.ebx, leaf.edx, leaf.ecx)
    return b"".join(word.to_bytes(4, "little") for word in words).decode("ascii", "replace")


def hypercall_instruction() -> int:
    """What the program `hypercall` makes: 1 for vmmcall, 0 for vmcall."""
    return int(cpu_vendor() in ("AuthenticAMD", "HygonGenuine"))


def _new_cpuid(entries: int = 256) -> Any:
    cpuid = ffi.new("struct kvm_cpuid2 *", {"entries": entries})
    cpuid.nent = entries
    return cpuid
