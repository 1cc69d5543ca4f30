# SPDX-License-Identifier: GPL-2.0-only
"""An interrupt that the guest is in the middle of: in service until its EOI, others behind it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guest_blobs import memory_map as at
from harness.host.features import reason
from harness.kvm.arch.x86_64 import ioctls, paravirtual, state
from harness.kvm.guest import Guest
from harness.kvm.memory import PAGE_BYTES
from harness.kvm.running import Running, warm_up
from harness.kvm.signals import CountingHandler
from harness.require import require_runs_on, require_untouched
from harness.ways import WayOut
from suites.dimensions import KICK, every_way, irqchip_in_kernel, only_on, pin_guest_program

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64"), pin_guest_program("events")]

TIMES = (1, 20)  # a defect that toggles cancels out over an even number
ENDS_INTERRUPTS = 0  # the program's data word: its handler writes the EOI
VECTOR = ioctls.INTERRUPT_VECTOR
PAGE = at.RAM_SIZE - PAGE_BYTES  # of RAM, that no program uses


def take(guest: Guest) -> None:
    """The guest takes an interrupt, and its handler writes no EOI."""
    guest.set_data(ENDS_INTERRUPTS, 0)
    guest.architecture.deliver_interrupt(guest.vm, guest.vcpu)
    with CountingHandler(KICK), Running(guest) as running:
        running.wait_until(lambda: guest.ticks > 0, "the guest to take its interrupt")
        running.wait_for_progress()
        running.stop_by(KICK)
    if in_apic(guest) != ([], [VECTOR]):
        pytest.skip(reason("no_setting", "a vector that stays in service without an EOI"))


def restore(guest: Guest) -> None:
    """As a monitor that restores a guest within its handler."""
    ioctls.change_lapic(guest.vcpu, state.only_vector(state.ISR, VECTOR))


def in_apic(guest: Guest) -> tuple[list[int], list[int]]:
    """The vectors that wait (IRR), and those in service (ISR)."""
    lapic = ioctls.get_lapic(guest.vcpu)
    return state.vectors(lapic, state.IRR), state.vectors(lapic, state.ISR)


def end(guest: Guest) -> None:
    """The guest's handler runs once more, past the local APIC, and this time writes the EOI."""
    guest.set_data(ENDS_INTERRUPTS, 1)
    events = ioctls.get_events(guest.vcpu)
    events.interrupt.injected, events.interrupt.nr = 1, VECTOR
    ioctls.set_events(guest.vcpu, events)


@pytest.mark.claim("states.events_survive")
@irqchip_in_kernel
@pytest.mark.parametrize("begin", [take, restore], ids=lambda each: each.__name__)
def test_in_service(loaded: Guest, begin: Callable[[Guest], None]) -> None:
    """It holds its like back until the guest's EOI, which ends it.

    KVM has a count and a number of its own for it (apic_find_highest_isr()), which no ioctl shows.
    """
    loaded.set_data(ENDS_INTERRUPTS, 1)  # also switches the local APIC on
    warm_up(loaded)
    begin(loaded)
    for times in TIMES:
        require_untouched(loaded, f"With vector {VECTOR} in service", times=times)
        loaded.architecture.deliver_interrupt(loaded.vm, loaded.vcpu)
        warm_up(loaded)
        found = in_apic(loaded)
        assert found == ([VECTOR], [VECTOR]), (
            f"After {times} immediate runs with vector {VECTOR} in service, another of it must "
            f"wait for the guest's EOI, but IRR and ISR are {found}"
        )
    require_ended_by_guest(loaded, 2, f"After immediate runs with vector {VECTOR} in service")


@pytest.mark.claim("states.events_survive")
@irqchip_in_kernel
@every_way
def test_page_says_no_eoi_needed(loaded: Guest, way: WayOut) -> None:
    """KVM says so in a page of the guest's where it looks for events, on the way in, and takes it
    back where it turns back before the guest (commit ae7a2a3fb6f8): to a guest that is moved then,
    the page would say it for ever. The interrupt stays in service, for the guest has not ended it.
    """
    loaded.set_data(ENDS_INTERRUPTS, 1)
    warm_up(loaded)
    take(loaded)
    if not paravirtual.share_end_of_interrupt(loaded.vcpu, loaded.address(PAGE)):
        pytest.skip(reason("no_setting", "MSR_KVM_PV_EOI_EN"))
    said = f"With vector {VECTOR} in service, and a page to end it"
    for times in TIMES:
        ioctls.set_regs(loaded.vcpu, ioctls.get_regs(loaded.vcpu))  # KVM is to look for events
        require_untouched(loaded, said, way, times)
    require_ended_by_guest(loaded, 1, f"{said}{way.said}")


def require_ended_by_guest(guest: Guest, ticks: int, circumstance: str) -> None:
    """The guest's handler writes the EOI, runs so often, and nothing is left in service."""
    __tracebackhide__ = True
    end(guest)
    wanted = guest.ticks + ticks
    with CountingHandler(KICK), Running(guest) as running:
        running.wait_until(lambda: guest.ticks >= wanted, "the guest's EOI and what is behind it")
        running.wait_for_progress()
        running.stop_by(KICK)
    found = in_apic(guest)
    assert found == ([], []), (
        f"{circumstance}, the guest's EOI must end it and what is behind it, but IRR and ISR are "
        f"{found}"
    )
    require_runs_on(guest, f"{circumstance} and its EOI")
