# SPDX-License-Identifier: GPL-2.0-only
"""What KVM owes the guest by its next entry, as operations: pages that it shares with it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

from guest_blobs import memory_map as at
from harness import ways
from harness.kvm.abi import KvmError
from harness.kvm.arch.x86_64 import ioctls, paravirtual
from harness.kvm.arch.x86_64.apic import interrupt_waits
from harness.kvm.guest import Guest
from harness.kvm.memory import PAGE_BYTES
from harness.sequences import runs
from harness.sequences.operation import Arguments
from harness.sequences.subject import Owed, Subject

# At the end of the guest's memory, which no program uses.
_CLOCK_PAGE, _STOLEN_PAGE = at.RAM_SIZE - PAGE_BYTES, at.RAM_SIZE - 2 * PAGE_BYTES
_FAULTS_PAGE = at.RAM_SIZE - 4 * PAGE_BYTES
_LATER_NS = 1 << 50  # thirteen days, which no VM lives; half of it neither
_UNWRITTEN = bytes(64)
_CLAIM = "preset.requests_kept"


def _clock(guest: Guest) -> Owed | None:
    guest.ram.write(_CLOCK_PAGE, bytes(4))  # its version; the flags may be owed
    if not paravirtual.show_clock(guest.vcpu, guest.address(_CLOCK_PAGE)):
        return None
    return Owed(
        _CLAIM,
        "KVM must have written the guest's clock, which was asked for",
        lambda: bool(paravirtual.read_clock(guest.ram, _CLOCK_PAGE).version),
    )


def _stolen_time(guest: Guest) -> Owed | None:
    guest.ram.write(_STOLEN_PAGE, _UNWRITTEN)
    if not paravirtual.show_stolen_time(guest.vcpu, guest.address(_STOLEN_PAGE)):
        return None
    return Owed(
        _CLAIM,
        "KVM must have written the stolen time, which was asked for",
        lambda: bool(paravirtual.stolen_time_version(guest.ram, _STOLEN_PAGE)),
    )


def _clock_set(guest: Guest) -> Owed | None:
    if not paravirtual.show_clock(guest.vcpu, guest.address(_CLOCK_PAGE)):
        return None
    paravirtual.set_clock(guest.vm, _LATER_NS)
    return Owed(
        _CLAIM,
        "the guest's clock must be where KVM_SET_CLOCK put it",
        lambda: paravirtual.read_clock(guest.ram, _CLOCK_PAGE).system_time_ns >= _LATER_NS // 2,
    )


def _stop_told(guest: Guest) -> Owed | None:
    if not paravirtual.show_clock(guest.vcpu, guest.address(_CLOCK_PAGE)):
        return None
    try:
        paravirtual.tell_stopped(guest.vcpu)
    except KvmError:
        return None
    return Owed(
        _CLAIM,
        "the guest's clock must say that the guest was stopped, as KVM_KVMCLOCK_CTRL asked",
        lambda: paravirtual.read_clock(guest.ram, _CLOCK_PAGE).stopped,
    )


def _interrupt(guest: Guest, said: str, done: Callable[[], object] = lambda: None) -> Owed:
    """One comes once KVM has entered the guest; `done` is then done."""
    ticks = guest.ticks

    def is_done() -> bool:
        done()
        return guest.ticks != ticks or interrupt_waits(guest)

    return Owed(_CLAIM, f"{said} must have sent its interrupt", is_done, "interrupts")


def _hyperv_timer(guest: Guest) -> Owed | None:
    """A synthetic timer whose time is over."""
    if guest.vm.irqchip == "none":
        return None
    if not paravirtual.start_timer(guest.vm, guest.vcpu, ioctls.INTERRUPT_VECTOR):
        return None
    return _interrupt(guest, "a timer of Hyper-V that is over")


def _page_ready(guest: Guest) -> Owed | None:
    """Asynchronous page faults: KVM tells first that all pages are there. Then they end again."""
    page = guest.address(_FAULTS_PAGE)
    if guest.vm.irqchip == "none":
        return None
    guest.ram.write(_FAULTS_PAGE, _UNWRITTEN)
    if not paravirtual.take_pages_later(guest.vcpu, page, ioctls.INTERRUPT_VECTOR):
        return None
    end = functools.partial(paravirtual.take_pages_at_once, guest.vcpu)
    return _interrupt(guest, "KVM, with asynchronous page faults enabled,", end)


SHARED: Mapping[str, Callable[[Guest], Owed | None]] = {
    "clock": _clock,
    "stolen_time": _stolen_time,
    "clock_set": _clock_set,
    "stop_told": _stop_told,
    "hyperv_timer": _hyperv_timer,
    "page_ready": _page_ready,
}


def owe(subject: Subject, given: Arguments) -> None:
    """Some runs end early before it is asked for. Nothing where this KVM shares no such page."""
    found = SHARED[given["what"]](subject.guest)
    if not found:
        return
    subject.owes(found)
    for _ in range(given["times"]):
        runs.leave(subject, ways.WAYS[given["way"]])
