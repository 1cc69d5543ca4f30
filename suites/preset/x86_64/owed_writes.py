# SPDX-License-Identifier: GPL-2.0-only
"""Exits that the guest asked for by writing an MSR, and that have yet to come.

KVM keeps such an exit as a request, which it takes on the next way into the guest. Where the run of
the write ends for something else, that comes first: here a step over it, for a monitor a signal.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

import guest_blobs
from harness.host.features import reason
from harness.kvm import exits
from harness.kvm.arch.x86_64 import hypervisors, ioctls, routing, settings, state
from harness.kvm.guest import Guest
from harness.require import require_exit
from suites.preset.owed import Owed
from suites.preset.x86_64.owed_devices import TASK_PRIORITY, with_task_priority
from suites.preset.x86_64.owed_events import leaves_by

WRMSR = b"\x0f\x30"
PIN, VECTOR = 5, ioctls.INTERRUPT_VECTOR
END_OF_INTERRUPT = 0x80B  # the x2APIC's registers are MSRs
HYPERV_CRASH, NOTIFY = 0x4000_0105, 1 << 63


def in_service(guest: Guest) -> None:
    """A level-triggered interrupt of userspace's I/O APIC, of whose end it is told."""
    routing.route_level_interrupt(guest.vm, PIN, VECTOR)
    ioctls.change_lapic(guest.vcpu, state.level_in_service(VECTOR))


def with_hyperv(guest: Guest) -> None:
    """Hyper-V's MSRs."""
    if not hypervisors.offer_hyperv(guest.vm, guest.vcpu):
        pytest.skip(reason("no_hyperv"))


def reported(guest: Guest) -> None:
    """Accesses to the task priority are reported."""
    with_task_priority(guest)
    settings.tpr_reports(guest.vcpu, enabled=True)


def write(index: int, value: int) -> Callable[[Guest], None]:
    """The guest steps over its WRMSR, which stands in the program msr, and is where it was."""

    def ask(guest: Guest) -> None:
        if not guest.vm.check_extension("KVM_CAP_SET_GUEST_DEBUG"):
            pytest.skip(reason("no_guest_debug"))
        before, regs = ioctls.get_regs(guest.vcpu), ioctls.get_regs(guest.vcpu)
        blob = guest_blobs.load("msr", guest.architecture.NAME, guest.mode)
        regs.rip = blob.load_address + blob.code.index(WRMSR)
        regs.rcx, regs.rax, regs.rdx = index, value & 0xFFFFFFFF, value >> 32
        ioctls.set_regs(guest.vcpu, regs)
        guest.vcpu.set_guest_debug(single_step=True)
        result = guest.vcpu.run_raw()
        guest.vcpu.set_guest_debug(single_step=False)
        if result.value == 0 and not isinstance(result.exit, exits.Debug):
            pytest.skip(reason("no_guest_debug", "the write's exit comes before that of its step"))
        require_exit(result, exits.Debug, f"On a step over a write of MSR {index:#x}")
        found = guest.architecture.program_counter(guest.vcpu)
        assert found == regs.rip + len(WRMSR), (
            f"A step over a write of MSR {index:#x} at {regs.rip:#x} must end behind it, but the "
            f"program counter is {found:#x}"
        )
        ioctls.set_regs(guest.vcpu, before)

    return ask


def told(kind: type[exits.VcpuExit]) -> Callable[[Guest, str], None]:
    """Shown by its exit, before the guest executes anything."""

    left = leaves_by(kind)

    def shown(guest: Guest, circumstance: str) -> None:
        __tracebackhide__ = True
        turns = guest.heartbeat
        left(guest, circumstance)
        assert guest.heartbeat == turns, f"{circumstance.capitalize()}, the guest ran on first"

    return shown


def line(
    what: str, index: int, value: int, kind: type[exits.VcpuExit], prepare: Callable[[Guest], None]
) -> Owed:
    """A write of the program msr."""
    return Owed(what, write(index, value), told(kind), prepare, "msr", "split", leaves=kind)


OWED = {
    "end_of_interrupt_told": line(
        "the guest ended an interrupt of userspace's I/O APIC",
        END_OF_INTERRUPT,
        0,
        exits.IoapicEoi,
        in_service,
    ),
    "hyperv_crash_told": line(
        "the guest told of its crash", HYPERV_CRASH, NOTIFY, exits.SystemEvent, with_hyperv
    ),
    "hyperv_reset_told": line(
        "the guest asked for its reset", settings.HYPERV_RESET, 1, exits.SystemEvent, with_hyperv
    ),
    "priority_told": line(
        "the guest wrote its task priority", TASK_PRIORITY, 0, exits.TprAccess, reported
    ),
}
