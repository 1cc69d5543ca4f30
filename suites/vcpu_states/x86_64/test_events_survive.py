# SPDX-License-Identifier: GPL-2.0-only
"""Events that userspace made pending while KVM_RUN is called with the byte set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.host.features import reason
from harness.kvm import exits
from harness.kvm.arch.x86_64 import ioctls
from harness.kvm.guest import RAM_SLOT, Guest
from harness.kvm.running import Running, warm_up
from harness.require import (
    require_exit,
    require_immediate,
    require_left,
    require_runs_on,
    require_untouched,
)
from suites.dimensions import (
    every_guest_mode,
    every_irqchip,
    only_on,
    pin_guest_program,
)
from suites.interrupts import skip_if_repeated

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64"), pin_guest_program("events")]

REPEATS = 20
INVALID_OPCODE = 6  # an exception without an error code
NMIS, INVALID_OPCODES, SMIS = 2, 6, 8  # the programs' data words


@pytest.fixture
def looping(loaded: Guest) -> Guest:
    """The program counts in its loop, with interrupts on, and was stopped there."""
    loaded.set_data(0, int(loaded.vm.irqchip != "none"))
    warm_up(loaded)
    return loaded


def require_survives(
    guest: Guest, what: str, pending: Callable[[Any], int], taken: Callable[[], int]
) -> None:
    """Immediate runs leave the event pending; the next normal run delivers it exactly once.

    `pending` reads it from KVM_GET_VCPU_EVENTS, `taken` is the guest's own count.
    """
    for _ in range(REPEATS):
        require_immediate(guest, f"With {what} pending")
    assert taken() == 0, f"An immediate run delivered {what}"
    assert pending(ioctls.get_events(guest.vcpu)), (
        f"After {REPEATS} immediate runs {what} must still be pending, but it is gone"
    )
    # KVM_GET_VCPU_EVENTS itself moves events from one place to another: once more behind it.
    require_untouched(guest, f"With {what} pending and read", times=REPEATS)
    with Running(guest) as running:
        running.wait_until(lambda: taken() > 0, f"the guest to take {what}")
        running.wait_for_progress()
        guest.stop()
        result = running.outcome()
    require_left(result, f"After {what}")
    skip_if_repeated(guest, 1)
    assert taken() == 1, f"The guest must take {what} once, but took it {taken()} times"
    assert not pending(ioctls.get_events(guest.vcpu)), f"{what} is still pending after delivery"


@pytest.mark.claim("states.events_survive")
@every_guest_mode
@every_irqchip
@pytest.mark.keeps("irqchip")
def test_injected_interrupt(looping: Guest) -> None:
    """KVM_SET_VCPU_EVENTS with interrupt.injected: one that is on its way into the guest."""
    events = ioctls.get_events(looping.vcpu)
    events.interrupt.injected, events.interrupt.nr = 1, ioctls.INTERRUPT_VECTOR
    ioctls.set_events(looping.vcpu, events)
    require_survives(
        looping,
        "an injected interrupt",
        lambda now: now.interrupt.injected,
        lambda: looping.ticks,
    )


@pytest.mark.claim("states.events_survive")
@every_guest_mode
@every_irqchip
@pytest.mark.keeps("irqchip")
def test_nmi(looping: Guest) -> None:
    """KVM_NMI."""
    ioctls.nmi(looping.vcpu)
    require_survives(looping, "an NMI", lambda now: now.nmi.pending, lambda: looping.data(NMIS))


@pytest.mark.claim("states.events_survive")
@every_guest_mode
@every_irqchip
@pytest.mark.keeps("irqchip")
def test_injected_exception(looping: Guest) -> None:
    """KVM_SET_VCPU_EVENTS with exception.injected."""
    events = ioctls.get_events(looping.vcpu)
    events.exception.injected, events.exception.nr = 1, INVALID_OPCODE
    ioctls.set_events(looping.vcpu, events)
    require_survives(
        looping,
        "an injected exception",
        lambda now: now.exception.injected,
        lambda: looping.data(INVALID_OPCODES),
    )


@pytest.mark.claim("states.events_survive")
@every_guest_mode
def test_pending_exception(looping: Guest) -> None:
    """exception.pending, which KVM_CAP_EXCEPTION_PAYLOAD tells from exception.injected."""
    if not ioctls.enable_exception_payload(looping.vm):
        pytest.skip(reason("no_exception_payload"))
    events = ioctls.get_events(looping.vcpu)
    ioctls.set_pending_exception(looping.vcpu, events, INVALID_OPCODE)
    require_survives(
        looping,
        "a pending exception",
        # Linux before 6.1 may morph it into an injected one while it is only read.
        lambda now: now.exception.pending or now.exception.injected,
        lambda: looping.data(INVALID_OPCODES),
    )


@pytest.mark.claim("states.events_survive")
@every_guest_mode
@every_irqchip
@pytest.mark.keeps("irqchip")
def test_smi(looping: Guest) -> None:
    """KVM_SMI."""
    if not looping.vm.check_extension("KVM_CAP_X86_SMM"):
        pytest.skip(reason("no_smm"))
    looping.vm.add_memory_to(ioctls.SMM_ADDRESS_SPACE, RAM_SLOT)
    looping.place("smi", "real")
    ioctls.smi(looping.vcpu)
    require_survives(looping, "an SMI", lambda now: now.smi.pending, lambda: looping.data(SMIS))


@pytest.mark.claim("states.events_survive")
@every_guest_mode
@every_irqchip
@pytest.mark.keeps("irqchip")
def test_triple_fault(looping: Guest) -> None:
    """triple_fault.pending: immediate runs keep it, the next run is KVM_EXIT_SHUTDOWN, once."""
    if not ioctls.enable_triple_fault_event(looping.vm):
        pytest.skip(reason("no_triple_fault_event"))
    events = ioctls.get_events(looping.vcpu)
    ioctls.set_triple_fault_pending(events)
    ioctls.set_events(looping.vcpu, events)
    for _ in range(REPEATS):
        require_immediate(looping, "With a triple fault pending")
    assert ioctls.triple_fault_pending(ioctls.get_events(looping.vcpu)), (
        f"After {REPEATS} immediate runs the triple fault must still be pending, but it is gone"
    )
    turns = looping.heartbeat
    require_exit(looping.vcpu.run_raw(), exits.Shutdown, "With a triple fault pending")
    assert looping.heartbeat == turns, "The guest ran on beside its triple fault"
    assert not ioctls.triple_fault_pending(ioctls.get_events(looping.vcpu)), (
        "The triple fault is still pending after KVM_EXIT_SHUTDOWN"
    )
    require_untouched(looping, "After a triple fault")
    require_runs_on(looping, "After a triple fault that userspace made up")
