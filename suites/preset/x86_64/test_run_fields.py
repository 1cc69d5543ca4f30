# SPDX-License-Identifier: GPL-2.0-only
"""What kvm_run says beside the exit, after each way in which KVM_RUN ends with EINTR."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from harness.devices import Device
from harness.host.features import reason
from harness.kvm.arch.x86_64 import ioctls, run_fields
from harness.kvm.guest import Guest
from harness.kvm.run import RunResult
from harness.kvm.running import Processor, Running
from harness.kvm.signals import CountingHandler
from harness.kvm.unmet import UnmetError
from harness.kvm.vm import Vm
from harness.require import require_eintr, require_signal_exit
from harness.ways import BYTE, SIGNAL
from suites.dimensions import (
    KICK,
    every_device,
    every_guest_mode,
    every_irqchip,
    irqchip_in_kernel,
    only_on,
    pin_guest_program,
)

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64")]

MANY = 20  # one as well, for a defect that toggles cancels out over an even number
INVALID_OPCODE, PRIORITY = 6, 9


def require_fields(processor: Processor, vm: Vm, result: RunResult, circumstance: str) -> None:
    """The run ended with EINTR, and kvm_run says what the vCPU's state says.

    The fields were poisoned before that run began: some are written on the way in.
    """
    __tracebackhide__ = True
    require_eintr(result, circumstance)
    found = run_fields.contradictions(processor.vcpu, vm)
    if found:
        clauses = "; ".join(map(str, found))
        text = f"after EINTR kvm_run must say what the vCPU's state says, but {clauses}"
        field = f"kvm_run {found[0].field}"
        wanted = found[0].wanted
        raise UnmetError(circumstance, text, "is", processor.vcpu, value=wanted, names=(field,))


def require_fields_by_byte(processor: Processor, vm: Vm, circumstance: str) -> None:
    """After one immediate run, and after many."""
    __tracebackhide__ = True
    vcpu = processor.vcpu
    for times in (1, MANY):
        run_fields.poison(vcpu, vm)
        result = BYTE.run_many(vcpu, times)
        said = f"{circumstance}, with immediate_exit=1 ({times} run{'s' * (times > 1)})"
        require_fields(processor, vm, result, said)


def require_fields_by_signal(processor: Processor, vm: Vm, circumstance: str) -> None:
    """After a run that met a signal, which KVM_SET_SIGNAL_MASK lets in."""
    __tracebackhide__ = True
    said = circumstance + SIGNAL.said
    run_fields.poison(processor.vcpu, vm)
    result = SIGNAL.run_many(processor.vcpu, 1)
    require_signal_exit(result, said)
    require_fields(processor, vm, result, said)


# ---- states that the fields tell of


def with_interrupts_on(guest: Guest) -> None:
    """RFLAGS.IF."""
    regs = ioctls.get_regs(guest.vcpu)
    regs.rflags |= run_fields.RFLAGS_IF
    ioctls.set_regs(guest.vcpu, regs)


def with_event(change: Callable[[Any], None]) -> Callable[[Guest], None]:
    """Interrupts on, and what KVM_SET_VCPU_EVENTS puts in their way."""

    def set_up(guest: Guest) -> None:
        with_interrupts_on(guest)
        events = ioctls.get_events(guest.vcpu)
        change(events)
        ioctls.set_events(guest.vcpu, events)

    return set_up


def shadow(events: Any) -> None:
    """The instruction behind STI."""
    events.interrupt.shadow = 1
    events.flags |= ioctls.events_flag("SHADOW")


def interrupt(events: Any) -> None:
    """An interrupt on its way into the guest."""
    events.interrupt.injected, events.interrupt.nr = 1, ioctls.INTERRUPT_VECTOR


def exception(events: Any) -> None:
    """An exception on its way."""
    events.exception.injected, events.exception.nr = 1, INVALID_OPCODE


def nmi(events: Any) -> None:
    """An NMI on its way."""
    events.nmi.injected = 1


def with_priority(guest: Guest) -> None:
    """CR8, the task priority of the local APIC."""
    sregs = ioctls.get_sregs(guest.vcpu)
    sregs.cr8 = PRIORITY
    ioctls.set_sregs(guest.vcpu, sregs)


def in_smm(guest: Guest) -> None:
    """System management mode, into which userspace may put a vCPU."""
    if not guest.vm.check_extension("KVM_CAP_X86_SMM"):
        pytest.skip(reason("no_smm"))
    events = ioctls.get_events(guest.vcpu)
    events.smi.smm = 1
    events.flags |= ioctls.events_flag("SMM")
    ioctls.set_events(guest.vcpu, events)


def window_asked_for(guest: Guest) -> None:
    """request_interrupt_window while interrupts are off, so that there is none."""
    guest.vcpu.run_page.request_interrupt_window = 1


def x2apic_off(guest: Guest) -> None:
    """The APIC's base of a processor whose local APIC is in the older mode."""
    sregs = ioctls.get_sregs(guest.vcpu)
    sregs.apic_base &= ~ioctls.X2APIC_ENABLED
    ioctls.set_sregs(guest.vcpu, sregs)


STATES: Mapping[str, Callable[[Guest], None]] = {
    "plain": lambda guest: None,
    "interrupts_on": with_interrupts_on,
    "in_shadow": with_event(shadow),
    "interrupt_on_its_way": with_event(interrupt),
    "exception_on_its_way": with_event(exception),
    "nmi_on_its_way": with_event(nmi),
    "priority": with_priority,
    "smm": in_smm,
    "window_asked_for": window_asked_for,
    "older_apic": x2apic_off,
}
every_state = pytest.mark.parametrize("set_up", STATES.values(), ids=STATES)


@pytest.mark.claim("preset.run_fields")
@every_irqchip
@pytest.mark.keeps("irqchip")
@every_state
def test_state(loaded: Guest, set_up: Callable[[Guest], None]) -> None:
    """post_kvm_run_save() comes behind the label that both ways out go to."""
    set_up(loaded)
    require_fields_by_byte(loaded, loaded.vm, "On a fresh vCPU")
    require_fields_by_signal(loaded, loaded.vm, "On a fresh vCPU")
    require_fields_by_byte(loaded, loaded.vm, "After a signal at entry")


@pytest.mark.claim("preset.run_fields")
@every_guest_mode
@pin_guest_program("events")
def test_every_mode(loaded: Guest) -> None:
    """By a kick while the guest runs in each mode; then by the byte and at entry."""
    _is_kicked(loaded)


@pytest.mark.claim("preset.run_fields")
@every_irqchip
@pytest.mark.keeps("irqchip")
@pin_guest_program("heartbeat", "events")
def test_running(loaded: Guest) -> None:
    """The same with each controller, with interrupts off and on."""
    _is_kicked(loaded)


def _is_kicked(loaded: Guest) -> None:
    loaded.set_data(0, int(loaded.vm.irqchip != "none"))
    run_fields.poison(loaded.vcpu, loaded.vm)
    with CountingHandler(KICK), Running(loaded) as running:
        running.wait_for_progress()
        running.kick(KICK)
        require_fields(loaded, loaded.vm, running.outcome(), "On a kick of a running guest")
    require_fields_by_byte(loaded, loaded.vm, "After a kick")
    require_fields_by_signal(loaded, loaded.vm, "After a kick")


@pytest.mark.claim("preset.run_fields")
@irqchip_in_kernel
@pin_guest_program("halt")
def test_halted(loaded: Guest) -> None:
    """By a kick while the vCPU sleeps, and by the byte and at entry once it has halted."""
    loaded.set_data(0, 1)
    run_fields.poison(loaded.vcpu, loaded.vm)
    with CountingHandler(KICK), Running(loaded) as running:
        running.wait_until(lambda: loaded.phase == 1, "the guest to halt")
        running.wait_for_sleep()
        running.kick(KICK)
        require_fields(loaded, loaded.vm, running.outcome(), "On a kick of a halted vCPU")
    require_fields_by_byte(loaded, loaded.vm, "On a halted vCPU")
    require_fields_by_signal(loaded, loaded.vm, "On a halted vCPU")


@pytest.mark.claim("preset.run_fields")
@irqchip_in_kernel
def test_uninitialized(loaded: Guest) -> None:
    """The byte is looked at in another place there, and a signal ends another wait."""
    processor = loaded.add_processor()
    require_fields_by_byte(processor, loaded.vm, "On an uninitialized processor")
    require_fields_by_signal(processor, loaded.vm, "On an uninitialized processor")
    run_fields.poison(processor.vcpu, loaded.vm)
    with CountingHandler(KICK), Running(processor) as running:
        running.wait_for_sleep()
        running.kick(KICK)
        said = "On a kick of a processor that waits"
        require_fields(processor, loaded.vm, running.outcome(), said)


@pytest.mark.claim("preset.run_fields")
@every_device
@pytest.mark.parametrize(
    "require", [require_fields_by_byte, require_fields_by_signal], ids=["byte", "signal"]
)
def test_completion(device: Device, require: Callable[[Processor, Vm, str], None]) -> None:
    """With an operation to complete: the fields tell of the state behind it."""
    device.answer(device.run_to_read("At the read"))
    require(device.guest, device.guest.vm, "After a read")


@pytest.mark.claim("preset.run_fields")
def test_nested(nested: Guest) -> None:
    """In a guest's guest; KVM_RUN_X86_GUEST_MODE where KVM has it (commit 85542adb65ec, 6.11)."""
    require_fields_by_byte(nested, nested.vm, "In a guest's guest")
    require_fields_by_signal(nested, nested.vm, "In a guest's guest")
