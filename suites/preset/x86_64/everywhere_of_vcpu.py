# SPDX-License-Identifier: GPL-2.0-only
"""Conditions of a vCPU of x86 for `preset.everywhere`: see suites/preset/everywhere.py.

The vCPU's state is put back by the test; a condition takes back what is not part of it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import closing, suppress

from harness.kvm import abi, wires
from harness.kvm.abi import KvmError, LackingError
from harness.kvm.arch.x86_64 import ioctls, kept, patterns, settings
from harness.kvm.guest import RAM_SLOT, Guest

PAGE = 0x70000  # of the guest's RAM, which no program uses
BREAKPOINTS = (0x8000, 0x8010, 0x8020, 0x8030)
_MP_STATES = range(12)
_RFLAGS_IF, _RFLAGS_TF = 1 << 9, 1 << 8


# ---- pending events


def nmi(guest: Guest) -> Iterator[None]:
    """an NMI is pending"""
    ioctls.nmi(guest.vcpu)
    yield


def nmi_masked(guest: Guest) -> Iterator[None]:
    """NMIs are masked, and one waits"""
    events = kept.read(guest.vcpu, "events")
    events.nmi.masked = events.nmi.pending = 1
    kept.write(guest.vcpu, "events", events)
    yield


def smi(guest: Guest) -> Iterator[None]:
    """an SMI is pending"""
    settings.need(guest.vm, "KVM_CAP_X86_SMM")
    settings.address_space(guest.vm, ioctls.SMM_ADDRESS_SPACE, RAM_SLOT)
    guest.place("smi", "real")
    ioctls.smi(guest.vcpu)
    yield


def in_smm(guest: Guest) -> Iterator[None]:
    """the vCPU is in system management mode"""
    settings.address_space(guest.vm, ioctls.SMM_ADDRESS_SPACE, RAM_SLOT)
    events = kept.read(guest.vcpu, "events")
    events.smi.smm = 1
    kept.write(guest.vcpu, "events", events)
    yield


def exception(guest: Guest) -> Iterator[None]:
    """an exception is injected, without an error code and with one"""
    for vector, has_code in ((6, 0), (13, 1), (14, 1)):
        events = kept.read(guest.vcpu, "events")
        events.exception.injected, events.exception.nr = 1, vector
        events.exception.has_error_code = has_code
        kept.write(guest.vcpu, "events", events)
        yield


def exception_pending(guest: Guest) -> Iterator[None]:
    """an exception is pending and not yet injected"""
    if not ioctls.enable_exception_payload(guest.vm):
        raise LackingError("KVM_CAP_EXCEPTION_PAYLOAD", errno.EOPNOTSUPP)
    ioctls.set_pending_exception(guest.vcpu, kept.read(guest.vcpu, "events"), 6)
    yield


def triple_fault(guest: Guest) -> Iterator[None]:
    """a triple fault is pending"""
    if not ioctls.enable_triple_fault_event(guest.vm):
        raise LackingError("KVM_CAP_X86_TRIPLE_FAULT_EVENT", errno.EOPNOTSUPP)
    events = kept.read(guest.vcpu, "events")
    ioctls.set_triple_fault_pending(events)
    kept.write(guest.vcpu, "events", events)
    yield
    events = kept.read(guest.vcpu, "events")
    ioctls.set_triple_fault_pending(events, pending=False)
    kept.write(guest.vcpu, "events", events)


def interrupt(guest: Guest) -> Iterator[None]:
    """an interrupt is pending, with interrupts off and on"""
    guest.architecture.deliver_interrupt(guest.vm, guest.vcpu)
    yield
    _set_rflags(guest, _RFLAGS_IF)
    yield


def interrupts_on(guest: Guest) -> Iterator[None]:
    """the guest's interrupts are on"""
    _set_rflags(guest, _RFLAGS_IF)
    yield


def interrupt_shadow(guest: Guest) -> Iterator[None]:
    """an instruction just held interrupts off"""
    events = kept.read(guest.vcpu, "events")
    events.interrupt.shadow = 1
    kept.write(guest.vcpu, "events", events)
    yield


def window_wanted(guest: Guest) -> Iterator[None]:
    """a window for interrupts is asked for, with interrupts off and on"""
    guest.vcpu.run_page.request_interrupt_window = 1
    yield
    _set_rflags(guest, _RFLAGS_IF)
    yield
    guest.vcpu.run_page.request_interrupt_window = 0


# ---- modes and registers


def trap_flag(guest: Guest) -> Iterator[None]:
    """the guest steps itself"""
    _set_rflags(guest, _RFLAGS_TF)
    yield


def user_mode(guest: Guest) -> Iterator[None]:
    """the guest is at privilege level 3"""
    sregs = kept.read(guest.vcpu, "sregs")
    for segment in (sregs.cs, sregs.ss):
        segment.dpl, segment.selector = 3, segment.selector | 3
    kept.write(guest.vcpu, "sregs", sregs)
    yield


def paging_off(guest: Guest) -> Iterator[None]:
    """the guest's paging is off"""
    sregs = kept.read(guest.vcpu, "sregs")
    sregs.cr0 &= ~(1 << 31)
    sregs.efer, sregs.cs.l, sregs.cs.db = 0, 0, 1
    kept.write(guest.vcpu, "sregs", sregs)
    yield


def compatibility_mode(guest: Guest) -> Iterator[None]:
    """the guest is in compatibility mode"""
    sregs = kept.read(guest.vcpu, "sregs")
    sregs.cs.l, sregs.cs.db = 0, 1
    kept.write(guest.vcpu, "sregs", sregs)
    yield


def unused_registers(guest: Guest) -> Iterator[None]:
    """each general register holds all ones, and then nothing"""
    for value in ((1 << 64) - 1, 0):
        regs = kept.read(guest.vcpu, "regs")
        for name in ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", *(f"r{n}" for n in range(8, 16))):
            setattr(regs, name, value)
        kept.write(guest.vcpu, "regs", regs)
        yield


def nowhere(guest: Guest) -> Iterator[None]:
    """the guest's program counter is where no memory is"""
    regs = kept.read(guest.vcpu, "regs")
    regs.rip = 0xFFFF_8000_0000_0000
    kept.write(guest.vcpu, "regs", regs)
    yield


def patterns_everywhere(guest: Guest) -> Iterator[None]:
    """FPU, vector registers, MSRs, debug registers and local APIC are in use"""
    patterns.fill(guest.vcpu, guest.vm)
    yield


def priorities(guest: Guest) -> Iterator[None]:
    """the task priority has one value after another"""
    for value in range(16):
        sregs = kept.read(guest.vcpu, "sregs")
        sregs.cr8 = guest.vcpu.run_page.cr8 = value
        kept.write(guest.vcpu, "sregs", sregs)
        yield
    guest.vcpu.run_page.cr8 = 0


def extended_features(guest: Guest) -> Iterator[None]:
    """one state component after another is enabled in XCR0"""
    found = kept.read(guest.vcpu, "xcrs")
    for value in (1, 3, 7, 0x1F, 0xE7, 0x207, 0x2FF, 0x602E7):
        found.xcrs[0].value = value
        with suppress(KvmError):
            kept.write(guest.vcpu, "xcrs", found)
            yield


def mp_states(guest: Guest) -> Iterator[None]:
    """the vCPU has one MP state after another"""
    for state in _MP_STATES:
        try:
            guest.vcpu.set_mp_state(state)
        except KvmError as error:
            if error.errno != errno.EINVAL:
                raise
            continue
        yield


def apic_modes(guest: Guest) -> Iterator[None]:
    """the local APIC is off, and then on in each of its modes"""
    for bits in (0, 1 << 11, 3 << 10):
        sregs = kept.read(guest.vcpu, "sregs")
        sregs.apic_base = sregs.apic_base & ~(3 << 10) | bits
        try:
            kept.write(guest.vcpu, "sregs", sregs)
        except KvmError as error:
            if error.errno != errno.EINVAL:
                raise
            continue
        yield


# ---- debugging


def debugged(guest: Guest) -> Iterator[None]:
    """the guest is debugged: by nothing more, by software and by hardware breakpoints, and stepped"""
    settings.need(guest.vm, "KVM_CAP_SET_GUEST_DEBUG")
    for more in ((), ("USE_SW_BP",), ("USE_HW_BP",), ("USE_SW_BP", "USE_HW_BP", "SINGLESTEP")):
        settings.guest_debug(guest.vcpu, "ENABLE", *more, addresses=BREAKPOINTS)
        yield
    settings.guest_debug(guest.vcpu)


def own_breakpoints(guest: Guest) -> Iterator[None]:
    """the guest has breakpoints of its own"""
    found = kept.read(guest.vcpu, "debugregs")
    for number in range(4):
        found.db[number] = PAGE + 16 * number
    found.dr7 = 0x4FF
    kept.write(guest.vcpu, "debugregs", found)
    yield


# ---- what stands in kvm_run


def sync_valid(guest: Guest) -> Iterator[None]:
    """kvm_valid_regs asks for registers"""
    for bit in _sync_bits(guest):
        guest.vcpu.run_page.kvm_valid_regs = bit
        yield
    guest.vcpu.run_page.kvm_valid_regs = 0


def sync_dirty(guest: Guest) -> Iterator[None]:
    """kvm_dirty_regs hands registers over"""
    bits = _sync_bits(guest)
    guest.vcpu.run_page.kvm_valid_regs = sum(bits)
    guest.run_immediate()
    guest.vcpu.run_page.kvm_valid_regs = 0
    for bit in bits:
        guest.vcpu.run_page.kvm_dirty_regs = bit
        yield
    guest.vcpu.run_page.kvm_dirty_regs = 0


def poisoned_outputs(guest: Guest) -> Iterator[None]:
    """what KVM writes in kvm_run holds garbage"""
    page = guest.vcpu.run_page
    for byte in (0xFF, 0x55, 1):
        page.ready_for_interrupt_injection = page.if_flag = byte
        page.flags, page.apic_base = byte * 0x101, byte * 0x01010101
        for place in range(len(page.padding)):
            page.padding[place] = bytes([byte])
        yield


# ---- what the guest shares with its hypervisor, and what else userspace sets


def shared_pages(guest: Guest) -> Iterator[None]:
    """the guest shares a page with KVM: clock, steal time, asynchronous page faults, EOI"""
    yield from _shared(guest, settings.SHARED_PAGES)


def told_of_pause(guest: Guest) -> Iterator[None]:
    """the guest is told that its clock stood still"""
    settings.need(guest.vm, "KVM_CAP_KVMCLOCK_CTRL")
    for _ in _shared(guest, (settings.CLOCK_PAGE,)):
        with suppress(KvmError):  # EINVAL where the clock only begins with the next normal run
            settings.paused(guest.vcpu)
        yield


def hyperv_guest(guest: Guest) -> Iterator[None]:
    """the guest is one of Hyper-V, and shares a page with it"""
    if not _set_msr(guest, settings.HYPERV_GUEST, settings.LINUX_ON_HYPERV):
        raise LackingError("Hyper-V's MSRs", errno.EOPNOTSUPP)
    yield from _shared(guest, settings.HYPERV_PAGES)
    ioctls.set_msr(guest.vcpu, settings.HYPERV_GUEST, 0)


def hyperv_interrupts(guest: Guest) -> Iterator[None]:
    """Hyper-V's synthetic interrupt controller is on"""
    settings.need(guest.vm, "KVM_CAP_HYPERV_SYNIC2")
    settings.capability(guest.vcpu, "KVM_CAP_HYPERV_SYNIC2", 0)
    yield


def cpuid_enforced(guest: Guest) -> Iterator[None]:
    """the guest may use of KVM's and Hyper-V's features what its CPUID has"""
    for name in ("KVM_CAP_ENFORCE_PV_FEATURE_CPUID", "KVM_CAP_HYPERV_ENFORCE_CPUID"):
        if guest.vm.check_extension(name):
            settings.capability(guest.vcpu, name, 1)
            yield
            settings.capability(guest.vcpu, name, 0)


def machine_checks(guest: Guest) -> Iterator[None]:
    """the vCPU has banks for machine checks"""
    settings.need(guest.vm, "KVM_CAP_MCE")
    settings.machine_checks(guest.vcpu, 10)
    yield


def tpr_reported(guest: Guest) -> Iterator[None]:
    """accesses to the TPR are reported, and a page shadows it"""
    settings.need(guest.vm, "KVM_CAP_VAPIC")
    settings.tpr_reports(guest.vcpu, enabled=True)
    yield
    settings.vapic(guest.vcpu, PAGE)
    yield
    settings.vapic(guest.vcpu, 0)
    settings.tpr_reports(guest.vcpu, enabled=False)


def tsc_scaled(guest: Guest) -> Iterator[None]:
    """the guest's TSC has another rate than the host's, slower and faster"""
    khz = ioctls.tsc_khz(guest.vcpu)
    if not guest.vm.check_extension("KVM_CAP_TSC_CONTROL"):
        raise LackingError("KVM_CAP_TSC_CONTROL", errno.EOPNOTSUPP)
    for other in (khz // 2, khz * 2):
        settings.tsc_khz(guest.vcpu, other)
        yield
    settings.tsc_khz(guest.vcpu, khz)


def tsc_moved(guest: Guest) -> Iterator[None]:
    """the guest's TSC has another offset"""
    if not guest.vm.check_extension("KVM_CAP_VCPU_ATTRIBUTES"):
        raise LackingError("KVM_CAP_VCPU_ATTRIBUTES", errno.EOPNOTSUPP)
    settings.tsc_offset(guest.vcpu, -(1 << 40) & (1 << 64) - 1)
    yield
    ioctls.set_msr(guest.vcpu, ioctls.TSC, 1 << 50)
    yield


def msr_exits(guest: Guest) -> Iterator[None]:
    """MSR accesses exit, and a filter denies one"""
    settings.need(guest.vm, "KVM_CAP_X86_MSR_FILTER")
    ioctls.enable_msr_exits(guest.vm, "INVAL", "UNKNOWN", "FILTER")
    yield
    ioctls.deny_msr(guest.vm, settings.DEBUGCTL)
    yield


def interrupt_wired(guest: Guest) -> Iterator[None]:
    """an eventfd raises an interrupt line"""
    settings.need(guest.vm, "KVM_CAP_IRQFD")
    fd = os.eventfd(0)
    try:
        wires.interrupt_by(guest.vm, fd, 5)
        yield
    finally:
        os.close(fd)


def clock_moved(guest: Guest) -> Iterator[None]:
    """the VM's clock was set just before"""
    settings.clock(guest.vm, 1 << 50)
    yield


def few_mmu_pages(guest: Guest) -> Iterator[None]:
    """the number of the VM's shadow pages was set"""
    settings.mmu_pages(guest.vm, 64)
    yield


def events_denied(guest: Guest) -> Iterator[None]:
    """a filter denies counters"""
    settings.event_filter(guest.vm)
    yield


def xen_guest(guest: Guest) -> Iterator[None]:
    """the VM is one for Xen's guests"""
    settings.xen(guest.vm)
    yield


def second_mapping_read(guest: Guest) -> Iterator[None]:
    """userspace has just read the whole of kvm_run"""
    with closing(guest.vcpu.map_again()) as page:
        page[:]
    yield


OF_EVERY_VCPU = (
    *(nmi, nmi_masked, smi, in_smm, exception, exception_pending, triple_fault, interrupt),
    *(interrupts_on, interrupt_shadow, window_wanted, trap_flag, user_mode, paging_off),
    *(compatibility_mode, unused_registers, nowhere, patterns_everywhere, priorities),
    *(extended_features, debugged, own_breakpoints, sync_valid, sync_dirty, poisoned_outputs),
    *(shared_pages, told_of_pause, hyperv_guest, cpuid_enforced, machine_checks, tsc_scaled, tsc_moved),
    *(msr_exits, clock_moved, few_mmu_pages, events_denied, xen_guest, second_mapping_read),
)
WITH_LOCAL_APIC = (
    *(mp_states, apic_modes, interrupt, interrupts_on, nmi),
    *(patterns_everywhere, tpr_reported, hyperv_interrupts, interrupt_wired),
)


def _sync_bits(guest: Guest) -> list[int]:
    answer = settings.need(guest.vm, "KVM_CAP_SYNC_REGS")
    bits = (ioctls.sync_bit(kind) for kind in ("regs", "sregs", "events"))
    return [bit for bit in bits if answer & bit]


def _set_rflags(guest: Guest, bits: int) -> None:
    regs = kept.read(guest.vcpu, "regs")
    regs.rflags |= bits
    kept.write(guest.vcpu, "regs", regs)


def _shared(guest: Guest, indices: tuple[int, ...]) -> Iterator[None]:
    """Yields with each page shared that KVM lets the guest share."""
    shared = 0
    for index in indices:
        if _set_msr(guest, index, PAGE | 1):
            shared += 1
            yield
            ioctls.set_msr(guest.vcpu, index, 0)
    if not shared:
        raise LackingError("shared pages", errno.EOPNOTSUPP)


def _set_msr(guest: Guest, index: int, value: int) -> bool:
    """Whether KVM took it."""
    try:
        ioctls.set_msr(guest.vcpu, index, value)
    except KvmError:
        return False
    return True
