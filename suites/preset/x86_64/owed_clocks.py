# SPDX-License-Identifier: GPL-2.0-only
"""What KVM and its Hyper-V write and send, and what it tells of an I/O APIC in userspace."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guest_blobs import memory_map as at
from harness.host.features import reason
from harness.kvm import exits
from harness.kvm.arch.x86_64 import ioctls, paravirtual, routing
from harness.kvm.guest import Guest
from harness.kvm.memory import PAGE_BYTES
from harness.kvm.running import warm_up
from harness.require import require_exit
from suites.preset.owed import Owed, run_to_the_end, until
from suites.preset.x86_64.owed_events import deliver, looping, tick

PAGE = at.RAM_SIZE - PAGE_BYTES  # of RAM, that no program uses
LATER_NS = 1 << 50  # thirteen days, which no VM of a test lives; half of it neither
PIN = 4
LEAF, LEAF_EAX = 0, 1  # data words of the program cpuid
BRAND = 0x8000_0002  # the first leaf of the brand string, which nothing depends on
NAME = int.from_bytes(b"conf", "little")


def show_clock(guest: Guest) -> None:
    """The guest's kvmclock, as a monitor restores it."""
    if not paravirtual.show_clock(guest.vcpu, guest.address(PAGE)):
        pytest.skip(reason("no_kvmclock"))


def with_clock(guest: Guest) -> None:
    """The clock's page was written."""
    show_clock(guest)
    warm_up(guest)
    assert clock(guest).version, "Without immediate runs, KVM wrote no clock"


def clock(guest: Guest) -> paravirtual.KvmClock:
    """What the guest would read."""
    return paravirtual.read_clock(guest.ram, PAGE)


def clock_shows(
    holds: Callable[[paravirtual.KvmClock], bool], what: str
) -> Callable[[Guest, str], None]:
    """Shown by the page that KVM writes on the way into the guest."""

    def shown(guest: Guest, circumstance: str) -> None:
        __tracebackhide__ = True
        run_to_the_end(guest, circumstance)
        found = clock(guest)
        assert holds(found), (
            f"{circumstance.capitalize()} and a normal run, the guest's clock must {what}, "
            f"but it is {found}"
        )

    return shown


def show_stolen_time(guest: Guest) -> None:
    """What the host took from the guest."""
    if not paravirtual.show_stolen_time(guest.vcpu, guest.address(PAGE)):
        pytest.skip(reason("no_kvmclock"))


def stolen_time_is_told(guest: Guest, circumstance: str) -> None:
    """KVM writes it on the way into the guest."""
    __tracebackhide__ = True
    run_to_the_end(guest, circumstance)
    assert paravirtual.stolen_time_version(guest.ram, PAGE), (
        f"{circumstance.capitalize()} and a normal run, KVM must have written the stolen time"
    )


def ask_for_reset(guest: Guest) -> None:
    """As a monitor that restores the MSR."""
    if not paravirtual.ask_for_reset(guest.vcpu):
        pytest.skip(reason("no_hyperv"))


def resets(guest: Guest, circumstance: str) -> None:
    """KVM_SYSTEM_EVENT_RESET."""
    __tracebackhide__ = True
    require_exit(guest.vcpu.run_raw(), exits.SystemEvent, circumstance.capitalize())


def start_timer(guest: Guest) -> None:
    """A synthetic timer that is over."""
    if not paravirtual.start_timer(guest.vm, guest.vcpu, ioctls.INTERRUPT_VECTOR):
        pytest.skip(reason("no_hyperv"))


def end_is_told(guest: Guest, circumstance: str) -> None:
    """The guest ends the interrupt, and KVM tells the I/O APIC of it."""
    __tracebackhide__ = True
    deliver(guest)
    said = f"{circumstance.capitalize()}, when the guest has taken its interrupt"
    found = require_exit(guest.vcpu.run_raw(), exits.IoapicEoi, said)
    assert found.vector == ioctls.INTERRUPT_VECTOR, f"{said}, KVM told of another: {found}"


def as_loaded(_guest: Guest) -> None:
    """It never ran: only then CPUID may change (KVM_SET_CPUID2, from 5.16 on)."""


def set_cpuid(guest: Guest) -> None:
    """A leaf that the guest reads."""
    guest.set_data(LEAF, BRAND)
    cpuid = ioctls.get_cpuid(guest.vcpu)
    for entry in cpuid.entries[0 : cpuid.nent]:
        if entry.function == BRAND:
            entry.eax = NAME
    ioctls.set_cpuid(guest.vcpu, cpuid)


OWED = {
    "cpuid_set": Owed(
        "KVM_SET_CPUID2",
        set_cpuid,
        until(lambda guest: guest.data(LEAF_EAX) == NAME, "the guest to read the new leaf"),
        as_loaded,
        "cpuid",
    ),
    "clock_page": Owed(
        "MSR_KVM_SYSTEM_TIME_NEW was set",
        show_clock,
        clock_shows(lambda found: found.version > 0 and found.factor > 0, "be there"),
    ),
    "clock_set": Owed(
        "KVM_SET_CLOCK",
        lambda guest: paravirtual.set_clock(guest.vm, LATER_NS),
        clock_shows(lambda found: found.system_time_ns >= LATER_NS // 2, f"be at {LATER_NS} or so"),
        with_clock,
    ),
    "stop_told": Owed(
        "KVM_KVMCLOCK_CTRL",
        lambda guest: paravirtual.tell_stopped(guest.vcpu),
        clock_shows(lambda found: found.stopped, "say that the guest was stopped"),
        with_clock,
    ),
    "stolen_time": Owed("MSR_KVM_STEAL_TIME was set", show_stolen_time, stolen_time_is_told),
    "hyperv_reset": Owed(
        "HV_X64_MSR_RESET was set", ask_for_reset, resets, leaves=exits.SystemEvent
    ),
    "hyperv_timer": Owed(
        "a timer of Hyper-V was started", start_timer, tick, looping, "events", "split"
    ),
    "interrupt_routed": Owed(
        "a level-triggered interrupt was routed",
        lambda guest: routing.route_level_interrupt(guest.vm, PIN, ioctls.INTERRUPT_VECTOR),
        end_is_told,
        looping,
        "events",
        "split",
    ),
}
