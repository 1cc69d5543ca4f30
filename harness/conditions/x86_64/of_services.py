# SPDX-License-Identifier: GPL-2.0-only
"""What an x86 guest and its VM use.

Services of KVM, Hyper-V and Xen, clocks, filters, and the local APIC. The lists stand at the end.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress

from harness.conditions.condition import Before, before_a_signal
from harness.conditions.x86_64.of_vcpu import (
    PAGE,
    interrupt,
    interrupts_on,
    nmi,
    patterns_everywhere,
)
from harness.kvm import wires
from harness.kvm.abi import KvmError, LackingError, run_structure_size
from harness.kvm.arch.x86_64 import apic, ioctls, kept, settings
from harness.kvm.guest import Guest

_MP_STATES = range(12)


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
    settings.need(guest.vm, "KVM_CAP_ENFORCE_PV_FEATURE_CPUID")
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
    # Without the capability KVM can let a TSC catch up, but not slow it down.
    slower = (khz // 2,) if guest.vm.check_extension("KVM_CAP_TSC_CONTROL") else ()
    for other in (khz * 2, *slower):
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
        page[: run_structure_size()]  # nobody promises what the rest of the mapping is
    yield


# ---- the local APIC


@before_a_signal(Before(moves=True))  # a SIPI is taken
def mp_states(guest: Guest) -> Iterator[None]:
    """the vCPU has one MP state after another"""
    yield from _each_taken(_MP_STATES, guest.vcpu.set_mp_state)


def apic_modes(guest: Guest) -> Iterator[None]:
    """the local APIC is off, and then on in each of its modes"""

    def put(bits: int) -> None:
        sregs = kept.read(guest.vcpu, "sregs")
        sregs.apic_base = sregs.apic_base & ~(3 << 10) | bits
        kept.write(guest.vcpu, "sregs", sregs)

    yield from _each_taken((0, 1 << 11, 3 << 10), put)


def timer_armed(guest: Guest) -> Iterator[None]:
    """the local APIC's timer is armed, for once and by periods"""
    for periodic in (False, True):
        apic.arm_timer(guest.vcpu, periodic=periodic)
        yield


def apic_registers(guest: Guest) -> Iterator[None]:
    """one register of the local APIC after another holds something else"""
    for register in apic.REGISTERS:
        for bits in (0xFF, 1 << 8, 1 << 12, 3 << 16):
            with kept.kept(guest.vcpu), suppress(KvmError):
                apic.flip(guest.vcpu, register, bits)
                yield


OF_EVERY_VM = (
    *(shared_pages, told_of_pause, hyperv_guest, cpuid_enforced, machine_checks, tsc_scaled),
    *(tsc_moved, msr_exits, clock_moved, few_mmu_pages, events_denied, xen_guest),
    *(second_mapping_read,),
)
WITH_LOCAL_APIC = (
    *(mp_states, apic_modes, timer_armed, apic_registers, interrupt, interrupts_on, nmi),
    *(patterns_everywhere, tpr_reported, hyperv_interrupts, interrupt_wired),
)


def _each_taken(values: Iterable[int], put: Callable[[int], None]) -> Iterator[None]:
    """Yields with each value that KVM does not refuse."""
    for value in values:
        try:
            put(value)
        except KvmError as error:
            if error.errno != errno.EINVAL:
                raise
            continue
        yield


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
