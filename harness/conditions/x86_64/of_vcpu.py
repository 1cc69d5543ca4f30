# SPDX-License-Identifier: GPL-2.0-only
"""States of a vCPU of x86.

Who makes one so puts the vCPU's state back; it takes back itself what is not part of that.
OF_EVERY_VCPU is the list.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import suppress

from harness.conditions.condition import Before, before_a_signal
from harness.kvm import exits
from harness.kvm.abi import KvmError, LackingError
from harness.kvm.arch.x86_64 import ioctls, kept, patterns, settings
from harness.kvm.guest import RAM_SLOT, Guest

PAGE = 0x70000  # of the guest's RAM, which no program uses
BREAKPOINTS = (0x8000, 0x8010, 0x8020, 0x8030)
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


@before_a_signal(Before(moves=True))  # enter_smm()
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


@before_a_signal(Before(moves=True))  # RFLAGS.RF, which a fault sets
def exception_pending(guest: Guest) -> Iterator[None]:
    """an exception is pending and not yet injected"""
    if not ioctls.enable_exception_payload(guest.vm):
        raise LackingError("KVM_CAP_EXCEPTION_PAYLOAD", errno.EOPNOTSUPP)
    ioctls.set_pending_exception(guest.vcpu, kept.read(guest.vcpu, "events"), 6)
    yield


@before_a_signal(Before(leaves=exits.Shutdown))
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


@before_a_signal(Before(leaves=exits.IrqWindowOpen))
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
        for name in (
            "rax",
            "rbx",
            "rcx",
            "rdx",
            "rsi",
            "rdi",
            "rbp",
            *(f"r{n}" for n in range(8, 16)),
        ):
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


# ---- debugging


def debugged(guest: Guest) -> Iterator[None]:
    """the guest is debugged, by breakpoints of software and of hardware, and stepped"""
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


OF_EVERY_VCPU = (
    *(nmi, nmi_masked, smi, in_smm, exception, exception_pending, triple_fault, interrupt),
    *(interrupts_on, interrupt_shadow, window_wanted, trap_flag, user_mode, paging_off),
    *(compatibility_mode, unused_registers, nowhere, patterns_everywhere, priorities),
    *(extended_features, debugged, own_breakpoints, sync_valid, sync_dirty, poisoned_outputs),
)


def _sync_bits(guest: Guest) -> list[int]:
    answer = settings.need(guest.vm, "KVM_CAP_SYNC_REGS")
    bits = (ioctls.sync_bit(kind) for kind in ("regs", "sregs", "events"))
    return [bit for bit in bits if answer & bit]


def _set_rflags(guest: Guest, bits: int) -> None:
    regs = kept.read(guest.vcpu, "regs")
    regs.rflags |= bits
    kept.write(guest.vcpu, "regs", regs)
