# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: registers, modes, events, CPUID, MSRs and interrupts.

The functions without a leading underscore up to `enable_hypercall_exits` are the interface of
`harness.kvm.arch`; those after it are for the tests that only x86 can have.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from guest_blobs import Blob
from guest_blobs import memory_map as at
from harness.kvm import abi, exits
from harness.kvm.arch import NoGuestModeError, NoNestedGuestError
from harness.kvm.memory import Memory
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import ffi, lib

NAME = "x86_64"
MODES = ("real", "protected", "long")
IRQCHIPS = ("none", "split", "full")
# RFLAGS for its resume flag only, which some processors set at an exit.
COMPLETION_REGISTERS = ("rax", "rip", "rflags")

CODE, DATA = 0x08, 0x10
#: Memory as a processor in system management mode sees it (KVM_CAP_MULTI_ADDRESS_SPACE).
SMM_ADDRESS_SPACE = 1
INTERRUPT_VECTOR = 0x20
X2APIC_MSI_ADDRESS = 0xFEE00000
_MSI_INIT = 0x4500  # delivery mode INIT (5 << 8), level assert (bit 14)
_CR0_PE, _CR0_MP, _CR0_ET, _CR0_NE, _CR0_PG = 1, 1 << 1, 1 << 4, 1 << 5, 1 << 31
_CR4_PAE = 1 << 5
_EFER_LME, _EFER_LMA = 1 << 8, 1 << 10
_APIC_BASE_X2APIC = 1 << 10
_CPUID_VMX, _CPUID_SVM = 1 << 5, 1 << 2  # ecx of leaf 1, ecx of leaf 0x80000001
_RFLAGS_ALWAYS = 0x2
_PAGE, _WRITABLE, _LARGE = 0x1, 0x2, 0x80
_TSS_ADDRESS, _IDENTITY_MAP_ADDRESS = 0xFFFBD000, 0xFFFBC000
_GENERAL = (
    *("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp"),
    *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags"),
)


# ---- the interface of harness.kvm.arch


def prepare_vm(vm: Vm) -> None:
    """Three pages that VMX on old processors needs for real mode (api.rst 4.30, 4.41)."""
    address = ffi.new("uint64_t *", _IDENTITY_MAP_ADDRESS)
    vm.ioctl("KVM_SET_IDENTITY_MAP_ADDR", address)
    vm.ioctl("KVM_SET_TSS_ADDR", _TSS_ADDRESS)


def configure(vcpu: Vcpu) -> None:
    """Everything that KVM supports is offered to the guest."""
    set_cpuid(vcpu, supported_cpuid())


def enter(vcpu: Vcpu, vm: Vm, ram: Memory, blob: Blob) -> None:
    """The entry state of guest_blobs/x86_64/program.inc."""
    sregs = get_sregs(vcpu)
    segments = [sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss]
    if blob.mode == "real":
        for segment in (sregs.cs, *segments):
            segment.base, segment.selector = 0, 0
    else:
        long_mode = blob.mode == "long"
        _flat(sregs.cs, CODE, 0xB, long_mode)
        for segment in segments:
            _flat(segment, DATA, 0x3, False)
        sregs.cr0 = _CR0_PE | _CR0_MP | _CR0_ET | _CR0_NE
        if long_mode:
            _identity_map(ram)
            sregs.cr0 |= _CR0_PG
            sregs.cr3, sregs.cr4 = at.PAGE_TABLES, _CR4_PAE
            sregs.efer = _EFER_LME | _EFER_LMA
    if vm.irqchip != "none":
        # Then the local APIC's registers are MSRs, which a program reaches in every mode.
        sregs.apic_base |= _APIC_BASE_X2APIC
    try:
        set_sregs(vcpu, sregs)
    except abi.KvmError as error:
        if error.errno != errno.EINVAL or blob.mode == MODES[-1]:
            raise
        raise NoGuestModeError(f"KVM_SET_SREGS for {blob.mode} mode", error.errno) from None
    regs = ffi.new("struct kvm_regs *")
    regs.rip, regs.rsp, regs.rflags = blob.entry, at.STACK_TOP, _RFLAGS_ALWAYS
    set_regs(vcpu, regs)


def registers(vcpu: Vcpu) -> Mapping[str, int]:
    """General registers, control registers and the segments' bases and selectors."""
    regs, sregs = get_regs(vcpu), get_sregs(vcpu)
    found = {name: int(getattr(regs, name)) for name in _GENERAL}
    for name in ("cr0", "cr2", "cr3", "cr4", "efer"):
        found[name] = int(getattr(sregs, name))
    for name in ("cs", "ds", "es", "fs", "gs", "ss", "tr"):
        segment = getattr(sregs, name)
        found[name], found[f"{name}_base"] = int(segment.selector), int(segment.base)
    for name in ("gdt", "idt"):
        found[f"{name}_base"] = int(getattr(sregs, name).base)
    return found


def program_counter(vcpu: Vcpu) -> int:
    """RIP."""
    return int(get_regs(vcpu).rip)


def accumulator(vcpu: Vcpu) -> int:
    """RAX."""
    return int(get_regs(vcpu).rax)


def set_accumulator(vcpu: Vcpu, value: int) -> None:
    """RAX."""
    regs = get_regs(vcpu)
    regs.rax = value
    set_regs(vcpu, regs)


def copy_state(source: Vcpu, target: Vcpu) -> None:
    """General and special registers; no local APIC, no events."""
    set_sregs(target, get_sregs(source))
    set_regs(target, get_regs(source))


def crossing_datum(mode: str) -> tuple[int, int]:
    """guest_blobs/x86_64/mmio_cross.S: half of the datum on each side of a page's end."""
    size = 8 if mode == "long" else 4
    return at.MMIO_BASE + 0x1000 - size // 2, size


def set_scratch(vcpu: Vcpu, value: int) -> None:
    """RBP, which no program uses."""
    regs = get_regs(vcpu)
    regs.rbp = value
    set_regs(vcpu, regs)


def scratch(vcpu: Vcpu) -> int:
    """RBP."""
    return int(get_regs(vcpu).rbp)


def halted(vcpu: Vcpu) -> bool | None:
    """KVM_MP_STATE_HALTED. Without a local APIC KVM_RUN leaves with KVM_EXIT_HLT instead."""
    return vcpu.mp_state() == abi.constant("KVM_MP_STATE_HALTED")


def standstill(vcpu: Vcpu) -> str:
    """Program counter, flags, MP state, events and the local APIC's interrupts and timer."""
    from harness.kvm.arch import x86_standstill  # not at the top: it imports this module

    return x86_standstill.describe(vcpu)


def left(found: exits.Exit | None) -> bool:
    """A byte to PORT_DONE."""
    return isinstance(found, exits.Io) and found.is_write and found.port == at.PORT_DONE


def deliver_interrupt(vm: Vm, vcpu: Vcpu) -> None:
    """Vector 0x20: as an MSI to APIC id 0, or by KVM_INTERRUPT without a local APIC."""
    if vm.irqchip == "none":
        vcpu.interrupt(INTERRUPT_VECTOR)
    else:
        vm.signal_msi(X2APIC_MSI_ADDRESS, INTERRUPT_VECTOR)


def hypercall_program() -> Mapping[int, int]:
    """KVM_HC_MAP_GPA_RANGE (Documentation/virt/kvm/x86/hypercalls.rst) of one page."""
    vendor = _cpu_vendor()
    return {
        3: 1 if vendor in ("AuthenticAMD", "HygonGenuine") else 0,
        4: int(lib.KVM_HC_MAP_GPA_RANGE),
        5: at.RAM_SIZE - 0x1000,
        6: 1,
        7: 0,
    }


def enable_hypercall_exits(vm: Vm) -> bool:
    """KVM_CAP_EXIT_HYPERCALL (Linux 5.14) for KVM_HC_MAP_GPA_RANGE.

    The quirk that patches the hypercall instruction in place (5.19 lets it be turned off) is
    turned off: kvm_pvm, which has no hypercall exits, would run into it for ever.
    """
    wanted = 1 << int(lib.KVM_HC_MAP_GPA_RANGE)
    if not vm.check_extension("KVM_CAP_EXIT_HYPERCALL") & wanted:
        return False
    quirk = int(lib.KVM_X86_QUIRK_FIX_HYPERCALL_INSN)
    if vm.check_extension("KVM_CAP_DISABLE_QUIRKS2") & quirk:
        vm.enable_cap("KVM_CAP_DISABLE_QUIRKS2", quirk)
    vm.enable_cap("KVM_CAP_EXIT_HYPERCALL", wanted)
    return True


def nested_program() -> str:
    """nested_svm, where KVM offers SVM to its guests (kvm_amd's parameter nested).

    `configure()` has then offered it: a vCPU may set EFER.SVME only if its CPUID shows SVM.
    """
    if _supported_leaf(0x80000001).ecx & _CPUID_SVM:
        return "nested_svm"
    if _supported_leaf(1).ecx & _CPUID_VMX:
        raise NoNestedGuestError("KVM offers VMX to its guests, and the x86 program is for SVM")
    raise NoNestedGuestError("KVM offers neither SVM nor VMX to its guests")


# ---- for the tests that only x86 can have


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


def triple_fault_pending(events: Any) -> bool:
    """events.triple_fault.pending (KVM_CAP_X86_TRIPLE_FAULT_EVENT, Linux 6.0)."""
    return bool(lib.ke_triple_fault(events)[0])


def set_triple_fault_pending(events: Any) -> None:
    """The same, set; with the flag that makes KVM_SET_VCPU_EVENTS read it."""
    lib.ke_triple_fault(events)[0] = 1
    events.flags |= lib.KVM_VCPUEVENT_VALID_TRIPLE_FAULT


def nmi(vcpu: Vcpu) -> None:
    """KVM_NMI. Raises `KvmError`."""
    vcpu.ioctl("KVM_NMI")


def send_init(vm: Vm, apic_id: int) -> None:
    """An INIT to a processor, as an MSI. Raises `KvmError`."""
    vm.signal_msi(X2APIC_MSI_ADDRESS | apic_id << 12, _MSI_INIT)


def smi(vcpu: Vcpu) -> None:
    """KVM_SMI (KVM_CAP_X86_SMM). Raises `KvmError`."""
    vcpu.ioctl("KVM_SMI")


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


def enable_msr_exits(vm: Vm, *reasons: str) -> bool:
    """KVM_CAP_X86_USER_SPACE_MSR (Linux 5.10); False where this KVM cannot."""
    wanted = 0
    for reason in reasons:
        wanted |= abi.constant(f"KVM_MSR_EXIT_REASON_{reason}")
    if not vm.check_extension("KVM_CAP_X86_USER_SPACE_MSR"):
        return False
    vm.enable_cap("KVM_CAP_X86_USER_SPACE_MSR", wanted)
    return True


def sync_regs(vcpu: Vcpu) -> Any:
    """kvm_run's own `struct kvm_sync_regs *` (KVM_CAP_SYNC_REGS, api.rst section 5)."""
    return lib.ke_sync_regs(vcpu.run_page)


_supported: list[Any] = []


def supported_cpuid() -> Any:
    """KVM_GET_SUPPORTED_CPUID as a `struct kvm_cpuid2 *`, asked once a process."""
    if not _supported:
        from harness.kvm.system import System  # not at the top: system imports vm, vm this package

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


def _new_cpuid(entries: int = 256) -> Any:
    cpuid = ffi.new("struct kvm_cpuid2 *", {"entries": entries})
    cpuid.nent = entries
    return cpuid


def _supported_leaf(function: int) -> Any:
    """The first entry of a CPUID function; all zero where KVM has none."""
    cpuid = supported_cpuid()
    for entry in cpuid.entries[0 : cpuid.nent]:
        if entry.function == function:
            return entry
    return ffi.new("struct kvm_cpuid_entry2 *")


def _cpu_vendor() -> str:
    leaf = _supported_leaf(0)
    words: Sequence[int] = (leaf.ebx, leaf.edx, leaf.ecx)
    return b"".join(word.to_bytes(4, "little") for word in words).decode("ascii", "replace")


def _msrs(vcpu: Vcpu, ioctl: str, index: int, value: int) -> int:
    msrs = ffi.new("struct kvm_msrs *", {"entries": 1})
    msrs.nmsrs = 1
    msrs.entries[0].index, msrs.entries[0].data = index, value
    if vcpu.ioctl(ioctl, msrs) != 1:
        raise abi.KvmError(f"{ioctl} of MSR {index:#x}", errno.ENOENT)
    return int(msrs.entries[0].data)


def _flat(segment: Any, selector: int, kind: int, long_mode: bool) -> None:
    segment.base, segment.limit, segment.selector = 0, 0xFFFFFFFF, selector
    segment.type, segment.present, segment.dpl, segment.s = kind, 1, 0, 1
    segment.db, segment.l, segment.g, segment.unusable = int(not long_mode), int(long_mode), 1, 0


def _identity_map(ram: Memory) -> None:
    """The first GiB by pages of 2 MiB, in the three pages that the memory map keeps for it."""
    top, middle, bottom = (at.PAGE_TABLES + 0x1000 * level for level in range(3))
    ram.write64(top, middle | _PAGE | _WRITABLE)
    ram.write64(middle, bottom | _PAGE | _WRITABLE)
    entries = (index << 21 | _PAGE | _WRITABLE | _LARGE for index in range(512))
    # At once: one by one they are most of what a guest costs on an emulated host.
    ram.write(bottom, struct.pack("<512Q", *entries))
