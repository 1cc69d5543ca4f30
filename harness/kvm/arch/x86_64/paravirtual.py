# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: what KVM and Hyper-V offer a guest beyond a processor's own, as userspace sets it up.

Documentation/virt/kvm/x86/msr.rst and cpuid.rst; the Hyper-V Top Level Functional Specification.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass

from harness.kvm.abi import KvmError
from harness.kvm.arch.x86_64 import ioctls
from harness.kvm.memory import Memory
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import ffi

_SYSTEM_TIME, _STEAL_TIME, _END_OF_INTERRUPT = 0x4B564D01, 0x4B564D03, 0x4B564D04
_ENABLED = 1
_ASYNC_PF, _ASYNC_PF_VECTOR, _ASYNC_PF_ACK = 0x4B564D02, 0x4B564D06, 0x4B564D07
_ASYNC_PF_ALWAYS, _ASYNC_PF_BY_INTERRUPT = 1 << 1, 1 << 3
_FEATURES, _ASYNC_PF_INT = 0x4000_0001, 1 << 14  # CPUID: KVM_FEATURE_ASYNC_PF_INT
_GUEST_STOPPED = 1 << 1  # PVCLOCK_GUEST_STOPPED
# struct pvclock_vcpu_time_info: version, TSC, system time, factor, shift, flags.
_CLOCK = struct.Struct("<I4xQQIbBxx")
# struct kvm_steal_time: nanoseconds, version.
_STEAL = struct.Struct("<QI")

_HV_RESET, _HV_TIMER_CONFIG, _HV_TIMER_COUNT = 0x40000003, 0x400000B0, 0x400000B1
# Of a timer's configuration, and the unit of its count.
_HV_ENABLE, _HV_PERIODIC, _HV_DIRECT, _HV_VECTOR_AT, _HV_UNIT_NS = 1, 1 << 1, 1 << 12, 4, 100


@dataclass(frozen=True)
class KvmClock:
    """kvmclock's page, as the guest would read it; `version` is 0 while KVM wrote none."""

    version: int
    system_time_ns: int
    factor: int
    stopped: bool


def show_clock(vcpu: Vcpu, address: int) -> bool:
    """MSR_KVM_SYSTEM_TIME_NEW: KVM writes its clock there. False where this KVM has none."""
    return _where_it_is(vcpu, _SYSTEM_TIME, address | _ENABLED)


def read_clock(ram: Memory, offset: int) -> KvmClock:
    """What stands in the page that lies at an offset of the memory."""
    version, _tsc, system_time, factor, _shift, flags = _CLOCK.unpack(ram.read(offset, _CLOCK.size))
    return KvmClock(version, system_time, factor, bool(flags & _GUEST_STOPPED))


def set_clock(vm: Vm, nanoseconds: int) -> None:
    """KVM_SET_CLOCK (api.rst 4.30). Raises `KvmError`."""
    data = ffi.new("struct kvm_clock_data *")
    data.clock = nanoseconds
    vm.ioctl("KVM_SET_CLOCK", data)


def tell_stopped(vcpu: Vcpu) -> None:
    """KVM_KVMCLOCK_CTRL (api.rst 4.70): the guest is told that it was stopped. `KvmError`."""
    vcpu.ioctl("KVM_KVMCLOCK_CTRL")


def show_stolen_time(vcpu: Vcpu, address: int) -> bool:
    """MSR_KVM_STEAL_TIME: KVM writes it there. False where this KVM does not tell it."""
    return _where_it_is(vcpu, _STEAL_TIME, address | _ENABLED)


def stolen_time_version(ram: Memory, offset: int) -> int:
    """How often it was written, times two; 0: never."""
    return int(_STEAL.unpack(ram.read(offset, _STEAL.size))[1])


def share_end_of_interrupt(vcpu: Vcpu, address: int) -> bool:
    """MSR_KVM_PV_EOI_EN: while a bit there is set, the guest ends its interrupt by clearing it.

    KVM sets it on its way into the guest and takes it back on each way out. False where this KVM
    has it not.
    """
    return _where_it_is(vcpu, _END_OF_INTERRUPT, address | _ENABLED)


def take_pages_later(vcpu: Vcpu, address: int, vector: int) -> bool:
    """Asynchronous page faults (msr.rst, MSR_KVM_ASYNC_PF_EN): the word is there, the vector tells.

    KVM then wakes at once whatever waits for a page, as after a migration: it sends the vector
    (kvm_async_pf_wakeup_all()). False where this KVM has it not, which is before Linux 5.8.
    """
    if not ioctls.supported_leaf(_FEATURES).eax & _ASYNC_PF_INT:
        return False
    wanted = address | _ENABLED | _ASYNC_PF_ALWAYS | _ASYNC_PF_BY_INTERRUPT
    return _where_it_is(vcpu, _ASYNC_PF_VECTOR, vector) and _where_it_is(vcpu, _ASYNC_PF, wanted)


def take_pages_at_once(vcpu: Vcpu) -> None:
    """No asynchronous page faults any more; that a page was ready is acknowledged."""
    _where_it_is(vcpu, _ASYNC_PF_ACK, 1)
    _where_it_is(vcpu, _ASYNC_PF, 0)


def ask_for_reset(vcpu: Vcpu) -> bool:
    """HV_X64_MSR_RESET: the next run ends with a system event. False without Hyper-V in KVM."""
    return _where_it_is(vcpu, _HV_RESET, 1)


def start_timer(vm: Vm, vcpu: Vcpu, vector: int, every_ns: int = 0) -> bool:
    """A synthetic timer of Hyper-V in direct mode: it sends this vector.

    Its time is over, or it comes to its end again and again, so far apart.

    False where this KVM has it not. Raises `KvmError`.
    """
    if not vm.check_extension("KVM_CAP_HYPERV_SYNIC2"):
        return False
    vcpu.enable_cap("KVM_CAP_HYPERV_SYNIC2")
    config = _HV_ENABLE | _HV_DIRECT | vector << _HV_VECTOR_AT
    config |= _HV_PERIODIC if every_ns else 0
    count = every_ns // _HV_UNIT_NS or 1
    return _where_it_is(vcpu, _HV_TIMER_COUNT, count) and (
        _where_it_is(vcpu, _HV_TIMER_CONFIG, config)
    )


def _where_it_is(vcpu: Vcpu, index: int, value: int) -> bool:
    """Sets an MSR; False where KVM does not know it for this vCPU."""
    try:
        ioctls.set_msr(vcpu, index, value)
    except KvmError as error:
        if error.errno != errno.ENOENT:
            raise
        return False
    return True
