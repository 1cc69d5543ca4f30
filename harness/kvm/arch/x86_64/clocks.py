# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: the clocks and timers of a vCPU, held against the host's own clock.

A clock that goes on cannot be compared with what it was. But it goes as the host's does: each
reading between two looks at that bounds how far the two are apart, and many readings bound it
closely. A clock that was moved has bounds that no longer meet.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.kvm import device_attributes
from harness.kvm.abi import KvmError, constant
from harness.kvm.arch.x86_64 import ioctls
from harness.kvm.memory import Memory
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import ffi

TSC_ADJUST = 0x3B
SYSTEM_TIME, STEAL_TIME = 0x4B564D01, 0x4B564D03  # Documentation/virt/kvm/x86/msrs.rst
#: Where a test puts what these two MSRs name, at the end of the guest's memory.
TIME_PAGE, STEAL_PAGE = 0x7E000, 0x7F000
_ENABLED = 1  # bit 0 of both; the other bits are the address
# struct pvclock_vcpu_time_info and struct kvm_steal_time, less what says that the vCPU is
# preempted, which is written when its thread loses the processor (kvm_steal_time_set_preempted()).
_TIME_PAGES = {
    "kvmclock's version": (TIME_PAGE, 4),
    "kvmclock's time stamp": (TIME_PAGE + 8, 8),
    "kvmclock's time": (TIME_PAGE + 16, 8),
    "kvmclock's factor": (TIME_PAGE + 24, 4),
    "kvmclock's shift and flags": (TIME_PAGE + 28, 2),
    "the stolen time": (STEAL_PAGE, 8),
    "the stolen time's version": (STEAL_PAGE + 8, 4),
}
# Registers of the local APIC; its timer counts cycles of a bus, of 1 ns each unless userspace said
# otherwise (KVM_CAP_X86_APIC_BUS_CYCLES_NS), by a divisor.
_LVT_TIMER, _INITIAL, _CURRENT, _DIVIDE = 0x320, 0x380, 0x390, 0x3E0
_PERIODIC, _DEADLINE_MODE, _BY_128, _STEP_NS = 1 << 17, 2 << 17, 0xA, 128
_MOST = 0x7FFF_FFFF
_LOOKS = 25
#: Of the time between: KVM's own factors are rounded, and hosts without a TSC have another clock.
_DRIFT = 1e-3
_ROUNDING_NS = 100


@dataclass(frozen=True)
class Distance:
    """How far a clock is ahead of the host's, ns: within these bounds at a time of the host's."""

    low: int
    high: int
    at_ns: int

    @property
    def steady(self) -> bool:
        """Whether it went as the host's clock does while it was read."""
        return self.low <= self.high + _ROUNDING_NS

    def moved(self, later: Distance) -> int:
        """By how many ns at least it was moved between the two; 0: not that anybody could see."""
        drift = int((later.at_ns - self.at_ns) * _DRIFT) + _ROUNDING_NS
        if later.low > self.high + drift:
            return later.low - self.high
        if later.high < self.low - drift:
            return later.high - self.low
        return 0


@dataclass(frozen=True)
class Clocks:
    """Numbers that stand still, and clocks that go on; both by name."""

    numbers: Mapping[str, int]
    distances: Mapping[str, Distance]

    def steady(self, later: Clocks) -> Clocks:
        """Those that nothing but time has touched between the two.

        On a host whose TSC is unstable KVM sets the guest's anew whenever it loads the vCPU, for
        each ioctl (kvm_arch_vcpu_load()).
        """
        return Clocks(
            {name: value for name, value in later.numbers.items() if self.numbers[name] == value},
            {
                name: each
                for name, each in later.distances.items()
                if each.steady
                and self.distances[name].steady
                and not self.distances[name].moved(each)
            },
        )

    def differences(self, later: Clocks) -> list[str]:
        """One clause for each that was moved since."""
        found = [
            f"{name} went from {value:#x} to {later.numbers[name]:#x}"
            for name, value in self.numbers.items()
            if later.numbers[name] != value
        ]
        for name, distance in self.distances.items():
            if moved := distance.moved(later.distances[name]):
                found.append(f"{name} was set {'on' if moved > 0 else 'back'} by {abs(moved)} ns")
        return found


def clocks(vcpu: Vcpu, vm: Vm) -> Clocks:
    """All that this vCPU has. Raises `KvmError`."""
    rate = ioctls.tsc_khz(vcpu)
    asked: Mapping[str, Callable[[], int]] = {
        "the rate of the TSC (kHz)": lambda: rate,
        "the TSC's offset": lambda: tsc_offset(vcpu),
        "IA32_TSC_ADJUST": lambda: ioctls.get_msr(vcpu, TSC_ADJUST),
        "IA32_TSC_DEADLINE": lambda: ioctls.get_msr(vcpu, ioctls.TSC_DEADLINE),
    }
    numbers = {}
    for name, ask in asked.items():
        try:
            numbers[name] = ask()
        except KvmError as error:
            # Neither an attribute of before Linux 5.16 nor an MSR that this vCPU has not.
            if error.errno not in (errno.ENOENT, errno.ENXIO, errno.ENOTTY, errno.EINVAL):
                raise
    distances = {
        "the TSC": _ahead(lambda: ioctls.get_msr(vcpu, ioctls.TSC) * 1_000_000 // rate),
        "the VM's clock": _ahead(lambda: vm_clock(vm)),
    }
    if vm.irqchip != "none":
        distances["the end of the local APIC's timer"] = _end(lambda: timer_left_ns(vcpu))
    return Clocks(numbers, distances)


def undisturbed(vcpu: Vcpu, vm: Vm) -> Clocks:
    """Those that nothing but time touches, as two looks in a row show. Raises `KvmError`."""
    earlier = clocks(vcpu, vm)
    return earlier.steady(clocks(vcpu, vm))


def tsc_offset(vcpu: Vcpu) -> int:
    """KVM_VCPU_TSC_OFFSET, cycles (vcpu.rst; Linux 5.16). Raises `KvmError`."""
    group, attribute = (constant(f"KVM_VCPU_TSC_{name}") for name in ("CTRL", "OFFSET"))
    return device_attributes.get(vcpu.fd, group, attribute)


def vm_clock(vm: Vm) -> int:
    """KVM_GET_CLOCK, ns (api.rst 4.29). Raises `KvmError`."""
    found = ffi.new("struct kvm_clock_data *")
    vm.ioctl("KVM_GET_CLOCK", found)
    return int(found.clock)


def timer_left_ns(vcpu: Vcpu) -> int:
    """What is left of the local APIC's timer; 0 when it is over or not in use."""
    return _word(ioctls.get_lapic(vcpu), _CURRENT) * _STEP_NS


def start_timer(
    vcpu: Vcpu, nanoseconds: int, vector: int, *, again_and_again: bool = False
) -> None:
    """The local APIC's timer begins to run down, once unless said otherwise. Raises `KvmError`."""
    count = min(nanoseconds // _STEP_NS, _MOST)
    lvt = vector | (_PERIODIC if again_and_again else 0)
    _set_timer(vcpu, {_LVT_TIMER: lvt, _INITIAL: count, _CURRENT: count, _DIVIDE: _BY_128})


def start_deadline(vcpu: Vcpu, nanoseconds: int, vector: int) -> None:
    """The same as a TSC deadline, which the vCPU's CPUID must offer. Raises `KvmError`."""
    _set_timer(vcpu, {_LVT_TIMER: _DEADLINE_MODE | vector, _INITIAL: 0, _CURRENT: 0})
    cycles = nanoseconds * ioctls.tsc_khz(vcpu) // 1_000_000
    ioctls.set_msr(vcpu, ioctls.TSC_DEADLINE, ioctls.get_msr(vcpu, ioctls.TSC) + cycles)


def use_pages(vcpu: Vcpu) -> None:
    """The guest asks for both pages; KVM writes them on its way in. Raises `KvmError`."""
    for index, page in ((SYSTEM_TIME, TIME_PAGE), (STEAL_TIME, STEAL_PAGE)):
        ioctls.set_msr(vcpu, index, page | _ENABLED)


def pages(ram: Memory) -> Mapping[str, int]:
    """What stands in them, by name."""
    return {
        name: int.from_bytes(ram.read(place, size), "little")
        for name, (place, size) in _TIME_PAGES.items()
    }


def _set_timer(vcpu: Vcpu, registers: Mapping[int, int]) -> None:
    page = ioctls.get_lapic(vcpu)
    for place, value in registers.items():
        ffi.buffer(page)[place : place + 4] = value.to_bytes(4, "little")
    ioctls.set_lapic(vcpu, page)


def _word(page: Any, place: int) -> int:
    return int.from_bytes(ffi.buffer(page)[place : place + 4], "little")


def _looks(read: Callable[[], int], clock: int) -> list[tuple[int, int, int]]:
    """Readings, each between two of a clock of the host."""
    now = time.clock_gettime_ns
    return [(now(clock), read(), now(clock)) for _ in range(_LOOKS)]


def _ahead(read: Callable[[], int]) -> Distance:
    """Of a clock that goes on: how far it is ahead of the host's, which no NTP steers."""
    looks = _looks(read, time.CLOCK_MONOTONIC_RAW)
    low = max(value - after for _, value, after in looks)
    return Distance(low, min(value - before for before, value, _ in looks), looks[-1][2])


def _end(read: Callable[[], int]) -> Distance:
    """Of one that runs down: when it ends, by the clock of the host's timers (ktime_get())."""
    looks = _looks(read, time.CLOCK_MONOTONIC)
    low = max(before + value for before, value, _ in looks)
    return Distance(low, min(after + value + _STEP_NS for _, value, after in looks), looks[-1][2])
