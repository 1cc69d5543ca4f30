# SPDX-License-Identifier: GPL-2.0-only
"""Userspace asks for the interrupt window while KVM_RUN is called with the byte set."""

from __future__ import annotations

import pytest

from harness.kvm import exits
from harness.kvm.arch.x86_64 import ioctls, patterns, window
from harness.kvm.guest import Guest
from harness.kvm.running import Running
from harness.kvm.signals import CountingHandler
from harness.require import (
    require_eintr,
    require_exit,
    require_left,
    require_same_state,
    require_signal_exit,
)
from harness.ways import BYTE
from suites.dimensions import (
    KICK,
    every_guest_mode,
    only_on,
    pin_guest_program,
    pin_irqchip,
)
from suites.interrupts import require_ticks

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64"), pin_guest_program("window")]

OPEN = 4  # the program's data word: interrupts on
WINDOWS = 5
RUNS = 21  # many, for a slow defect; an odd number, over which one that toggles does not cancel out

userspace_injects = pin_irqchip(*window.IRQCHIPS)


@pytest.fixture
def asking(ready: Guest) -> Guest:
    """The guest runs with interrupts off, and userspace asks for the window."""
    patterns.fill_quietly(ready.vcpu, ready.vm)
    window.request(ready.vcpu, True)
    return ready


def require_immediate(guest: Guest, circumstance: str, *, ready: bool) -> None:
    """Immediate runs give EINTR, change nothing, and say whether the window is open."""
    said = f"{circumstance}, in {RUNS} immediate runs"
    before = guest.whole()
    window.forget(guest.vcpu)
    result = BYTE.run_many(guest.vcpu, RUNS)
    require_eintr(result, said)
    require_ready(guest, said, ready=ready)
    counted = guest.architecture.COUNTS_RUNS
    require_same_state(before, guest.whole(), said, may_change=counted)
    assert window.requested(guest.vcpu) == 1, (
        f"{circumstance}, immediate runs took request_interrupt_window back"
    )


def require_ready(guest: Guest, circumstance: str, *, ready: bool) -> None:
    """api.rst: the interrupt can, or cannot, be injected."""
    found = window.ready(guest.vcpu)
    assert found == int(ready), (
        f"{circumstance}, ready_for_interrupt_injection must be {int(ready)}, but it is {found}"
    )


def require_window(guest: Guest, circumstance: str) -> None:
    """The next normal run gives the window, and the guest can take an interrupt there."""
    window.forget(guest.vcpu)
    require_exit(guest.vcpu.run_raw(), exits.IrqWindowOpen, circumstance)
    assert window.interrupts_on(guest.vcpu), (
        f"{circumstance}, KVM_EXIT_IRQ_WINDOW_OPEN came with the guest's interrupts off"
    )
    require_ready(guest, f"{circumstance}, at KVM_EXIT_IRQ_WINDOW_OPEN", ready=True)


def require_runs_on(guest: Guest, circumstance: str) -> None:
    """Nobody asks for a window: a run goes on until the guest leaves by itself."""
    window.request(guest.vcpu, False)
    with Running(guest) as running:
        running.wait_for_progress()
        guest.stop()
        result = running.outcome()
    require_left(result, circumstance)


@pytest.mark.claim("states.window")
@every_guest_mode
@userspace_injects
def test_window_and_injection(asking: Guest) -> None:
    """dm_request_for_irq_injection() is asked in vcpu_run(), after the check of the byte.

    Closed, open, injected: immediate runs in between leave each of the three as it is.
    """
    require_immediate(asking, "With interrupts off and a window requested", ready=False)
    asking.set_data(OPEN, 1)
    require_immediate(asking, "Before the guest turns interrupts on", ready=False)
    require_window(asking, "When the guest has turned interrupts on")
    require_immediate(asking, "With the window open and requested", ready=True)
    asking.vcpu.interrupt(ioctls.INTERRUPT_VECTOR)
    require_immediate(asking, "With an interrupt injected into the window", ready=False)
    assert asking.ticks == 0, "An immediate run delivered the interrupt"
    require_runs_on(asking, "After the injection, with no window requested")
    require_ticks(asking, 1, "After one injection")


@pytest.mark.claim("states.window")
@every_guest_mode
@userspace_injects
def test_one_window_for_each_interrupt(asking: Guest) -> None:
    """Requested throughout: each window comes when the interrupt of the last one was taken."""
    asking.set_data(OPEN, 1)
    for number in range(WINDOWS):
        circumstance = f"With {number} interrupts injected and a window requested"
        require_window(asking, circumstance)
        require_ticks(asking, number, f"{circumstance}, at KVM_EXIT_IRQ_WINDOW_OPEN")
        asking.vcpu.interrupt(ioctls.INTERRUPT_VECTOR)
        require_eintr(asking.run_immediate(), f"{circumstance}, with immediate_exit=1")
    require_runs_on(asking, "After the last injection, with no window requested")
    require_ticks(asking, WINDOWS, f"After {WINDOWS} injections")


@pytest.mark.claim("states.window")
@every_guest_mode
@userspace_injects
def test_signal_while_waiting(asking: Guest) -> None:
    """A signal ends a run that waits for the window, and takes no request away."""
    for kicks in (1, 2):
        circumstance = f"On kick {kicks} while userspace waits for the window"
        window.forget(asking.vcpu)
        with CountingHandler(KICK) as handler, Running(asking) as running:
            running.wait_for_progress()
            running.kick(KICK)
            result = running.outcome()
            handled = handler.count()
        require_signal_exit(result, circumstance)
        assert handled == 1, (
            f"{circumstance}, its handler must run once, but it ran {handled} times"
        )
        require_ready(asking, circumstance, ready=False)
    require_immediate(asking, "After kicks with a window requested", ready=False)
    asking.set_data(OPEN, 1)
    require_window(asking, "After kicks, when the guest has turned interrupts on")
    require_runs_on(asking, "After kicks and the window")
    require_ticks(asking, 0, "Without an injection")


@pytest.mark.claim("states.window")
@every_guest_mode
@userspace_injects
def test_opened_by_userspace(asking: Guest) -> None:
    """IF set by KVM_SET_REGS: open at once, but an immediate run is none that says so."""
    asking.set_data(OPEN, 1)
    window.turn_interrupts(asking.vcpu, True)
    require_immediate(asking, "With IF set by KVM_SET_REGS and a window requested", ready=True)
    window.turn_interrupts(asking.vcpu, False)
    require_immediate(asking, "With IF cleared again", ready=False)
    window.turn_interrupts(asking.vcpu, True)
    require_window(asking, "With IF set by KVM_SET_REGS")
    require_runs_on(asking, "After the window")
    require_ticks(asking, 0, "Without an injection")


@pytest.mark.claim("states.window")
@pin_irqchip("full")
def test_request_without_meaning(asking: Guest) -> None:
    """Where KVM keeps the PIC, the request means nothing, with the byte or without it."""
    asking.set_data(OPEN, 1)
    window.turn_interrupts(asking.vcpu, True)
    require_immediate(asking, "With the PIC in the kernel and a window requested", ready=True)
    with Running(asking) as running:
        running.wait_for_progress()
        asking.stop()
        result = running.outcome()
    require_left(result, "With the PIC in the kernel and a window requested")
