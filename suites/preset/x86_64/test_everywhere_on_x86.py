# SPDX-License-Identifier: GPL-2.0-only
"""The byte is obeyed in each state of an x86 vCPU that userspace can set, and with each setting."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from harness.conditions.condition import Condition, circumstance
from harness.conditions.x86_64.of_services import OF_EVERY_VM, WITH_LOCAL_APIC
from harness.conditions.x86_64.of_vcpu import OF_EVERY_VCPU, PAGE
from harness.kvm import abi
from harness.kvm.abi import KvmError, LackingError
from harness.kvm.arch.x86_64 import ioctls, kept, readable, settings
from harness.kvm.bits import Field, numbers
from harness.kvm.guest import Guest
from harness.kvm.running import warm_up
from harness.kvm.vm import Vm
from harness.require import require_eintr, require_no_progress, require_runs_on
from suites.dimensions import only_on, pin_irqchip
from suites.preset.everywhere import (
    VALUE,
    each,
    require_held,
    require_immediate_runs,
    require_obeyed_by_new,
)

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64")]

#: KVM_ENABLE_CAP of a VM, with its argument; None: what KVM_CHECK_EXTENSION answers, all of it.
SETTINGS = {
    "KVM_CAP_DISABLE_QUIRKS2": None,
    "KVM_CAP_X2APIC_API": 3,  # 32-bit ids, no quirk of broadcasts; later flags exclude each other
    "KVM_CAP_X86_DISABLE_EXITS": None,
    "KVM_CAP_MSR_PLATFORM_INFO": 0,
    "KVM_CAP_EXCEPTION_PAYLOAD": 1,
    "KVM_CAP_X86_TRIPLE_FAULT_EVENT": 1,
    "KVM_CAP_X86_USER_SPACE_MSR": None,
    "KVM_CAP_EXIT_HYPERCALL": None,
    "KVM_CAP_EXIT_ON_EMULATION_FAILURE": 1,
    "KVM_CAP_X86_BUS_LOCK_EXIT": abi.constant("KVM_BUS_LOCK_DETECTION_EXIT"),
    "KVM_CAP_X86_NOTIFY_VMEXIT": 3 | 0x20000 << 32,
    "KVM_CAP_PMU_CAPABILITY": None,
    "KVM_CAP_VM_DISABLE_NX_HUGE_PAGES": 0,
}
#: Numbers of which each bit is flipped; of the others a few values are tried.
BITWISE = {"cr0", "cr4", "efer", "apic_base", "rflags", "dr6", "dr7", "flags", "sipi_vector"}
EVENTS = ("exception.", "interrupt.", "nmi.", "smi.")
#: Makers of processors, as CPUID names them.
VENDORS = {
    "intel": b"GenuineIntel",
    "amd": b"AuthenticAMD",
    "hygon": b"HygonGenuine",
    "centaur": b"CentaurHauls",
    "zhaoxin": b"  Shanghai  ",
    "nobody": b"NobodyAtAll.",
}
STRUCTS = ("regs", "sregs", "debugregs", "events")
#: What KVM reads of kvm_run: a wrong value of the others is refused before the byte is looked at.
READ_BY_KVM = ("immediate_exit", "cr8", "kvm_valid_regs", "kvm_dirty_regs")


def boot_processor(vm: Vm) -> int:
    """another vCPU than the first is the boot processor"""
    settings.boot_processor(vm, 1)
    return 1


def few_numbers(vm: Vm) -> int:
    """the VM has few numbers for vCPUs"""
    if vm.enable_cap_raw("KVM_CAP_MAX_VCPU_ID", 4) == -errno.EINVAL:
        raise LackingError("KVM_CAP_MAX_VCPU_ID that is set", errno.EINVAL)  # before Linux 6.0
    return 3


def timer_chip(vm: Vm) -> int:
    """the VM has a PIT"""
    settings.timer_chip(vm)
    return 0


def bus_frequency(vm: Vm) -> int:
    """the APIC's bus has another frequency"""
    settings.need(vm, "KVM_CAP_X86_APIC_BUS_CYCLES_NS")
    vm.enable_cap("KVM_CAP_X86_APIC_BUS_CYCLES_NS", 40)
    return 0


WITH_IRQCHIP = (boot_processor, timer_chip, bus_frequency)
WITHOUT_IRQCHIP = (few_numbers,)


@pytest.mark.claim("preset.everywhere")
@each((*OF_EVERY_VCPU, *OF_EVERY_VM))
def test_whatever_the_vcpu_is(ready: Guest, condition: Condition) -> None:
    """kvm_arch_vcpu_ioctl_run() comes to the check before it looks at the guest's state."""
    _obeyed(ready, condition)


@pytest.mark.claim("preset.everywhere")
@pin_irqchip("full")
@each(WITH_LOCAL_APIC)
def test_whatever_its_apic_is(ready: Guest, condition: Condition) -> None:
    """The same with a local APIC."""
    _obeyed(ready, condition)


@pytest.mark.claim("preset.everywhere")
@pytest.mark.parametrize("setting", SETTINGS, ids=lambda name: name[len("KVM_CAP_") :].lower())
def test_whatever_is_enabled(vm: Vm, guest_mode: str, setting: str) -> None:
    """The same with each capability that userspace may enable for a VM."""

    def enable(machine: Vm) -> int:
        answer, argument = settings.need(machine, setting), SETTINGS[setting]
        machine.enable_cap(setting, answer if argument is None else argument)
        return 0

    enable.__doc__, enable.__name__ = f"{setting} is enabled", setting
    require_obeyed_by_new(vm, guest_mode, enable)


@pytest.mark.claim("preset.everywhere")
@each(WITHOUT_IRQCHIP)
def test_however_it_was_set_up(vm: Vm, guest_mode: str, condition: Callable[[Vm], int]) -> None:
    """The same with what is set before the first vCPU."""
    require_obeyed_by_new(vm, guest_mode, condition)


@pytest.mark.claim("preset.everywhere")
@pin_irqchip("full")
@each(WITH_IRQCHIP)
def test_whatever_chips_it_has(vm: Vm, guest_mode: str, condition: Callable[[Vm], int]) -> None:
    """The same with what only a VM with its interrupt controller in the kernel has."""
    require_obeyed_by_new(vm, guest_mode, condition)


@pytest.mark.claim("preset.everywhere")
@pytest.mark.parametrize("name", STRUCTS)
def test_each_number_of(ready: Guest, name: str) -> None:
    """Whatever number of the vCPU's state has another value, as far as KVM takes it."""
    _each_number(ready, name)


@pytest.mark.claim("preset.everywhere")
@pin_irqchip("full")
@pytest.mark.parametrize("name", ["sregs", "events"])
def test_each_number_beside_an_apic_of(ready: Guest, name: str) -> None:
    """The same with a local APIC."""
    _each_number(ready, name)


@pytest.mark.claim("preset.everywhere")
def test_each_msr(ready: Guest) -> None:
    """Whatever MSR has another value, as far as KVM takes it."""
    _each_msr(ready)


@pytest.mark.claim("preset.everywhere")
@pin_irqchip("full")
def test_each_msr_beside_an_apic(ready: Guest) -> None:
    """The same with a local APIC, which has MSRs of its own."""
    _each_msr(ready)


@pytest.mark.claim("preset.everywhere")
@pytest.mark.parametrize("vendor", VENDORS)
def test_whoever_made_its_processor(loaded: Guest, vendor: str) -> None:
    """Whatever maker the guest's CPUID names: KVM asks for it in many a place."""
    settings.vendor(loaded.vcpu, VENDORS[vendor])
    said = f"While the guest's CPUID says {VENDORS[vendor].decode()}"
    require_held(loaded, f"{said}, before the guest has run")
    warm_up(loaded)
    require_held(loaded, said)
    require_runs_on(loaded, f"{said}, with the byte cleared")


@pytest.mark.claim("preset.everywhere")
def test_each_number_of_cpuid(loaded: Guest) -> None:
    """Whatever number of the guest's CPUID has another value, as far as KVM takes it."""
    before = loaded.heartbeat
    for number in settings.other_cpuids(loaded.vcpu):
        require_eintr(loaded.run_immediate(VALUE), f"With {number}")
    assert loaded.heartbeat == before, "Whatever its CPUID, the guest must not execute anything"
    require_runs_on(loaded, "After other values of CPUID, with the byte cleared")


@pytest.mark.claim("preset.everywhere")
def test_each_byte_of_kvm_run(ready: Guest) -> None:
    """Whatever else stands in kvm_run: KVM writes there, and reads it only where it says so."""
    before = ready.witness()
    with closing(ready.vcpu.map_again()) as page:
        for place in unread_bytes():
            was, page[place] = page[place], ~page[place] & 0xFF
            require_eintr(
                ready.run_immediate(VALUE), f"With {page[place]:#x} in byte {place} of kvm_run"
            )
            page[place] = was
    require_no_progress(before, ready.witness(), "Whatever stood in kvm_run")
    require_runs_on(ready, "Whatever stood in kvm_run, with the byte cleared")


@pytest.mark.claim("preset.everywhere")
def test_in_a_guests_guest(nested: Guest) -> None:
    """The vCPU was stopped in a guest of its guest."""
    require_held(nested, "While the vCPU is in a guest of its guest")
    before = nested.heartbeat
    warm_up(nested)
    assert nested.heartbeat != before, "with the byte cleared, the guest must run on"


def _obeyed(guest: Guest, condition: Condition) -> None:
    with kept.kept(guest.vcpu):
        require_immediate_runs(guest, condition)
    require_runs_on(guest, f"{circumstance(condition)} or just was, with the byte cleared")


def _each_number(guest: Guest, name: str) -> None:
    before = guest.witness()
    with kept.kept(guest.vcpu):
        for number in _changed(guest, name):
            require_eintr(
                guest.run_immediate(VALUE), f"With {number.path} of the {name} at {number.get():#x}"
            )
    require_no_progress(before, guest.witness(), f"Whatever stood in the {name}")
    require_runs_on(guest, "After other values, with the byte cleared")


def _changed(guest: Guest, name: str) -> Iterator[Field]:
    """Each number with each value that KVM takes, one at a time; then it is as it was."""
    struct = kept.read(guest.vcpu, name)
    for number in numbers(struct):
        last = number.path.rpartition(".")[2]
        bitwise = last in BITWISE or number.path.startswith(EVENTS)
        before = number.get()
        for value in number.flips() if bitwise else number.extremes():
            number.put(value)
            if _taken(guest, name, struct):
                yield number
                number.put(before)
                kept.write(guest.vcpu, name, struct)
            number.put(before)


def _taken(guest: Guest, name: str, struct: Any) -> bool:
    try:
        kept.write(guest.vcpu, name, struct)
    except KvmError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return True


def _each_msr(guest: Guest) -> None:
    before, events = guest.witness(), kept.read(guest.vcpu, "events")
    for index in readable.msr_indices():
        for value in _other_values(guest, index):
            try:
                ioctls.set_msr(guest.vcpu, index, value)
            except KvmError:  # it is no such MSR, or may not have this value
                # kvm_mtrr_valid() of 5.10 then injects a #GP, also where the host has tried.
                kept.write(guest.vcpu, "events", events)
                continue
            require_eintr(guest.run_immediate(VALUE), f"With MSR {index:#x} at {value:#x}")
    require_no_progress(before, guest.witness(), "Whatever stood in an MSR")
    require_runs_on(guest, "After other values, with the byte cleared")


def _other_values(guest: Guest, index: int) -> list[int]:
    """Those to try, and the MSR's own as the last. None of one that asks for a reset."""
    if index == settings.HYPERV_RESET:
        return []
    try:
        own = ioctls.get_msr(guest.vcpu, index)
    except KvmError:
        return []
    return [own ^ 1, own | 1 << 11, 0, PAGE | 1, (1 << 64) - 1, own]


def unread_bytes() -> list[int]:
    """The bytes of kvm_run, up to the registers at its end, that KVM does not read."""
    read = {place for field in READ_BY_KVM for place in abi.run_field(field)}
    return [place for place in range(max(read)) if place not in read]
