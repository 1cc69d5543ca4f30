# SPDX-License-Identifier: GPL-2.0-only
"""Events that wait, what lets them in, and what the next run is to do instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from harness.host.features import reason
from harness.kvm import exits
from harness.kvm.abi import constant
from harness.kvm.arch.x86_64 import ioctls, pic, run_fields, state
from harness.kvm.guest import RAM_SLOT, Guest
from harness.kvm.running import Running, warm_up
from harness.kvm.speech import Word
from harness.require import require_exit, require_left, require_runs_on, require_said
from suites.preset.owed import Owed, until

NMIS, INVALID_OPCODES, SMIS = 2, 6, 8  # data words of the programs events and smi
MSR_INDEX, RDMSRS = 5, 1  # of the program msr
INVALID_OPCODE = 6
KERNEL_GS_BASE = 0xC000_0102  # which each processor lets a guest reach without an exit
NO_PRIORITY, HIGHEST_PRIORITY = 0, 15
TIMER_NS = 2_000_000
# Of the program lowered. Each tick of the host takes the guest out, and KVM looks anew: there are
# to be few turns; but a KVM that interprets its guest looks after some hundred instructions only.
LOW_TURNS, SOME_TURNS, MANY_TURNS = 5, 100, 100_000
INTERPRETED = 10  # instructions up to here, of about twenty; SVM without decode assists has CR8's

tick = until(lambda guest: guest.ticks > 0, "the guest to take its interrupt")


def counted(word: int, what: str) -> Callable[[Guest, str], None]:
    """Shown by a data word in which the program counts."""
    return until(lambda guest: guest.data(word) > 0, f"the guest to take {what}")


def looping(guest: Guest) -> None:
    """The program counts events, with interrupts on."""
    guest.set_data(0, int(guest.vm.irqchip != "none"))
    warm_up(guest)


def deliver(guest: Guest) -> None:
    """An interrupt, in any controller."""
    guest.architecture.deliver_interrupt(guest.vm, guest.vcpu)


def let_through(guest: Guest) -> None:
    """An external interrupt comes in past the local APIC's registers."""
    pic.let_through(guest.vcpu)
    looping(guest)


def not_taken(guest: Guest) -> None:
    """A normal run in which the interrupt cannot come in: KVM is done with it for now."""
    deliver(guest)
    warm_up(guest)
    assert guest.ticks == 0, "The guest took an interrupt that it had masked"


def masked_by_flag(guest: Guest) -> None:
    """An interrupt waits for RFLAGS.IF."""
    looping(guest)
    set_interrupt_flag(guest, False)
    not_taken(guest)


def set_interrupt_flag(guest: Guest, on: bool) -> None:
    """KVM_SET_REGS."""
    regs = ioctls.get_regs(guest.vcpu)
    regs.rflags = regs.rflags & ~run_fields.RFLAGS_IF | (run_fields.RFLAGS_IF if on else 0)
    ioctls.set_regs(guest.vcpu, regs)


def masked_by_priority(guest: Guest) -> None:
    """An interrupt waits for a lower task priority."""
    looping(guest)
    set_priority(guest, HIGHEST_PRIORITY)
    not_taken(guest)


def set_priority(guest: Guest, priority: int) -> None:
    """CR8, by KVM_SET_SREGS."""
    sregs = ioctls.get_sregs(guest.vcpu)
    sregs.cr8 = priority
    ioctls.set_sregs(guest.vcpu, sregs)


def raised_by_the_guest(guest: Guest) -> None:
    """The guest has raised CR8 itself, which no exit need have told KVM, and said so."""
    guest.set_data(0, 1)
    require_said(guest.vcpu.run_raw(), Word.SYNC, "With its task priority raised")
    interpreted = guest.statistic("insn_emulation")
    runs_itself = interpreted is not None and interpreted < INTERPRETED
    guest.set_data(LOW_TURNS, SOME_TURNS if runs_itself else MANY_TURNS)


def lowered_by_the_guest(guest: Guest, circumstance: str) -> None:
    """The guest lowers CR8 for some instructions, and in them the interrupt comes.

    KVM must know of that write: it has it intercepted for as long as an interrupt waits for it
    (update_cr8_intercept()), or finds the interrupt by chance only, at the next exit.
    """
    __tracebackhide__ = True
    said = f"{circumstance.capitalize()}, with CR8 lowered and raised again by the guest"
    require_said(guest.vcpu.run_raw(), Word.SYNC, said)
    assert guest.ticks == 1, f"{said}, it must have taken its interrupt, but took {guest.ticks}"


def start_timer(guest: Guest) -> None:
    """The APIC's timer, one shot, in units of 1 ns; KVM reads one count or the other."""
    ioctls.change_lapic(
        guest.vcpu,
        {
            state.TIMER_VECTOR: ioctls.INTERRUPT_VECTOR,
            state.TIMER_DIVISOR: state.DIVIDE_BY_ONE,
            state.TIMER_INITIAL: TIMER_NS,
            state.TIMER_CURRENT: TIMER_NS,
        },
    )


def waiting_in_the_apic(guest: Guest) -> None:
    """IRR."""
    ioctls.change_lapic(guest.vcpu, state.only_vector(state.IRR, ioctls.INTERRUPT_VECTOR))


def in_the_older_mode(guest: Guest) -> None:
    """The local APIC's registers are no MSRs yet; the program will need them."""
    guest.set_data(0, 1)
    set_x2apic(guest, False)


def set_x2apic(guest: Guest, on: bool) -> None:
    """The APIC's base, by KVM_SET_SREGS."""
    sregs = ioctls.get_sregs(guest.vcpu)
    sregs.apic_base = sregs.apic_base & ~ioctls.X2APIC_ENABLED | (
        ioctls.X2APIC_ENABLED if on else 0
    )
    ioctls.set_sregs(guest.vcpu, sregs)


def delivered(guest: Guest, circumstance: str) -> None:
    """The program sets its local APIC up by MSRs, and an interrupt comes through it."""
    __tracebackhide__ = True
    with Running(guest) as running:
        running.wait_for_progress()
        deliver(guest)
        running.wait_until(lambda: guest.ticks > 0, f"the guest's interrupt, {circumstance}")
        guest.stop()
        result = running.outcome()
    require_left(result, circumstance.capitalize())


def set_event(change: Callable[[Any], None]) -> Callable[[Guest], None]:
    """KVM_SET_VCPU_EVENTS."""

    def ask(guest: Guest) -> None:
        events = ioctls.get_events(guest.vcpu)
        change(events)
        ioctls.set_events(guest.vcpu, events)

    return ask


def exception(events: Any) -> None:
    """One without an error code."""
    events.exception.injected, events.exception.nr = 1, INVALID_OPCODE


def with_smm(guest: Guest) -> None:
    """A handler for the SMI."""
    if not guest.vm.check_extension("KVM_CAP_X86_SMM"):
        pytest.skip(reason("no_smm"))
    guest.vm.add_memory_to(ioctls.SMM_ADDRESS_SPACE, RAM_SLOT)
    guest.place("smi", "real")
    looping(guest)


def with_triple_fault(guest: Guest) -> None:
    """KVM tells of triple faults."""
    if not ioctls.enable_triple_fault_event(guest.vm):
        pytest.skip(reason("no_triple_fault_event"))
    looping(guest)


def leaves_by(kind: type[Any]) -> Callable[[Guest, str], None]:
    """Shown by an exit of this kind."""

    def shown(guest: Guest, circumstance: str) -> None:
        __tracebackhide__ = True
        require_exit(guest.vcpu.run_raw(), kind, circumstance.capitalize())

    return shown


def sleeps(guest: Guest, circumstance: str) -> None:
    """The vCPU sleeps in KVM_RUN until an interrupt comes."""
    __tracebackhide__ = True
    turns = guest.heartbeat
    with Running(guest) as running:
        running.wait_for_sleep()
        assert guest.heartbeat == turns, f"{circumstance.capitalize()}, the guest ran on"
        deliver(guest)
        running.wait_until(lambda: guest.ticks > 0, f"the halt to end, {circumstance}")
        guest.stop()
        result = running.outcome()
    require_left(result, circumstance.capitalize())


def steppable(guest: Guest) -> None:
    """KVM steps a guest."""
    if not guest.vm.check_extension("KVM_CAP_SET_GUEST_DEBUG"):
        pytest.skip(reason("no_guest_debug"))
    warm_up(guest)


def stepped(guest: Guest) -> None:
    """It was stepped once."""
    steppable(guest)
    guest.vcpu.set_guest_debug(single_step=True)
    require_exit(guest.vcpu.run_raw(), exits.Debug, "With single-stepping on")


def with_msr(guest: Guest) -> None:
    """The guest reads and writes an MSR, without exits."""
    if not guest.vm.check_extension("KVM_CAP_X86_MSR_FILTER") or not ioctls.enable_msr_exits(
        guest.vm, "FILTER"
    ):
        pytest.skip(reason("no_msr_exits"))
    guest.set_data(MSR_INDEX, KERNEL_GS_BASE)
    warm_up(guest)


def denied(guest: Guest, circumstance: str) -> None:
    """The guest's next access leaves."""
    __tracebackhide__ = True
    result = guest.vcpu.run_raw()
    left = isinstance(result.exit, exits.Rdmsr | exits.Wrmsr) and not result.rescue
    assert left, (
        f"{circumstance.capitalize()}, the guest's access to the MSR must leave KVM_RUN, "
        f"but {result.describe()}"
    )


def with_msr_denied(guest: Guest) -> None:
    """An access has left; it is answered by leaving kvm_run as it is."""
    with_msr(guest)
    ioctls.deny_msr(guest.vm, KERNEL_GS_BASE)
    denied(guest, "with the MSR denied")


def runs_on(guest: Guest, circumstance: str) -> None:
    """The guest makes progress by itself, and leaves at the stop word."""
    __tracebackhide__ = True
    require_runs_on(guest, circumstance.capitalize())


def halt(guest: Guest) -> None:
    """KVM_SET_MP_STATE."""
    guest.vcpu.set_mp_state(constant("KVM_MP_STATE_HALTED"))


OWED = {
    f"interrupt_{chip}": Owed("an interrupt came", deliver, tick, looping, "events", chip)
    for chip in ("none", "split", "full")
} | {
    # Of these KVM keeps the vector for itself, or asks the PIC for it, which then forgets it
    # (kvm_cpu_get_extint()).
    "interrupt_external": Owed(
        "KVM_INTERRUPT",
        lambda guest: guest.vcpu.interrupt(ioctls.INTERRUPT_VECTOR),
        tick,
        let_through,
        "events",
        "split",
    ),
    "interrupt_of_pic": Owed(
        "the PIC's line was raised",
        lambda guest: pic.raise_interrupt(guest.vm, ioctls.INTERRUPT_VECTOR),
        tick,
        let_through,
        "events",
        "full",
    ),
    "nmi": Owed(
        "KVM_NMI", lambda guest: ioctls.nmi(guest.vcpu), counted(NMIS, "the NMI"), looping, "events"
    ),
    "smi": Owed(
        "KVM_SMI",
        lambda guest: ioctls.smi(guest.vcpu),
        counted(SMIS, "the SMI"),
        with_smm,
        "events",
    ),
    "exception": Owed(
        "an exception was set",
        set_event(exception),
        counted(INVALID_OPCODES, "the exception"),
        looping,
        "events",
    ),
    "triple_fault": Owed(
        "a triple fault was set",
        set_event(ioctls.set_triple_fault_pending),
        leaves_by(exits.Shutdown),
        with_triple_fault,
        "events",
        leaves=exits.Shutdown,
    ),
    "interrupts_enabled": Owed(
        "RFLAGS.IF was set, for which an interrupt waited,",
        lambda guest: set_interrupt_flag(guest, True),
        tick,
        masked_by_flag,
        "events",
        "split",
    ),
    "priority_lowered": Owed(
        "CR8 was lowered, for which an interrupt waited,",
        lambda guest: set_priority(guest, NO_PRIORITY),
        tick,
        masked_by_priority,
        "events",
        "split",
    ),
    "priority_of_guest": Owed(
        "an interrupt came for which the guest's task priority was too high",
        deliver,
        lowered_by_the_guest,
        raised_by_the_guest,
        "lowered",
        "split",
    ),
    "apic_irr": Owed(
        "KVM_SET_LAPIC with a vector in IRR", waiting_in_the_apic, tick, looping, "events", "split"
    ),
    "apic_timer": Owed("KVM_SET_LAPIC with a timer", start_timer, tick, looping, "events", "split"),
    "x2apic": Owed(
        "the x2APIC was switched on",
        lambda guest: set_x2apic(guest, True),
        delivered,
        in_the_older_mode,
        "events",
        "split",
    ),
    "halted": Owed("KVM_SET_MP_STATE(HALTED)", halt, sleeps, looping, "events", "split"),
    "step_on": Owed(
        "single-stepping was switched on",
        lambda guest: guest.vcpu.set_guest_debug(single_step=True),
        leaves_by(exits.Debug),
        steppable,
    ),
    "step_off": Owed(
        "single-stepping was switched off",
        lambda guest: guest.vcpu.set_guest_debug(single_step=False),
        runs_on,
        stepped,
    ),
    "msr_denied": Owed(
        "an MSR was denied",
        lambda guest: ioctls.deny_msr(guest.vm, KERNEL_GS_BASE),
        denied,
        with_msr,
        "msr",
    ),
    "msr_allowed": Owed(
        "an MSR was allowed again",
        lambda guest: ioctls.allow_every_msr(guest.vm),
        runs_on,
        with_msr_denied,
        "msr",
    ),
}
