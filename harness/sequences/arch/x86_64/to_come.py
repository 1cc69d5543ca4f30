# SPDX-License-Identifier: GPL-2.0-only
"""What comes to the guest, or to userspace, behind runs that end early: none may lose it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress

from guest_blobs import memory_map as at
from harness import ways
from harness.host import pace
from harness.kvm import exits
from harness.kvm.abi import KvmError, LackingError
from harness.kvm.arch.x86_64 import (
    apic,
    ioctls,
    kept,
    paravirtual,
    pit,
    routing,
    settings,
    state,
    waiting,
)
from harness.kvm.arch.x86_64.messages import SENDERS
from harness.kvm.exits import VcpuExit
from harness.kvm.guest import Guest
from harness.kvm.memory import PAGE_BYTES
from harness.kvm.running import POLL_S
from harness.sequences import runs
from harness.sequences.operation import Arguments
from harness.sequences.subject import Subject
from harness.sequences.violation import Violation

_CLAIM = "preset.requests_kept"
_LATER_NS = 20_000_000  # some runs of a usual host
_PATIENCE_S = 2.0
_PIN, _OTHER_VECTOR = 5, 0x31  # of which the guest takes none
_WRMSR = bytes.fromhex("0f 30 90")
_WRMSR_AT = at.RAM_SIZE - 3 * PAGE_BYTES  # no program goes there
_RESET = 2  # KVM_SYSTEM_EVENT_RESET
_END_OF_INTERRUPT = 0x80B  # the x2APIC's registers are MSRs


def wake(subject: Subject, given: Arguments) -> None:
    """The step `sleep` goes on, by what KVM_HC_KICK_CPU sends (commit 24d2166beb8a).

    That leaves no interrupt behind, and no ioctl shows it: where it is lost, in runs that end early
    perhaps, the guest sleeps on.
    """
    subject.let_go_on()
    kicked = 0
    with suppress(KvmError):
        kicked = SENDERS["a kick"](subject.guest.vm)
    if kicked != 1:
        subject.interrupt()
    for _ in range(given["times"]):
        runs.leave(subject, ways.WAYS[given["way"]])


def timer_and_leave(subject: Subject, given: Arguments) -> None:
    """The PIT ticks once, behind runs that end at once; its interrupt then waits for the guest.

    Nothing where this KVM has no PIT.
    """
    guest, way = subject.guest, ways.WAYS[given["way"]]
    try:
        _start_timer(guest)
    except KvmError:
        return
    for _ in range(given["times"]):
        runs.leave(subject, way)
    for _ in range(int(pace.here().patience(_PATIENCE_S) / POLL_S)):
        if apic.interrupt_waits(guest):
            subject.change(subject.model.state.sent("interrupts"))
            return
        time.sleep(POLL_S)
    raise Violation(
        _CLAIM,
        f"{subject.where()}, after {given['times']} runs{way.said} the PIT, which was set to tick "
        f"once after {_LATER_NS} ns, must do so, but no interrupt waits",
    )


def _start_timer(guest: Guest) -> None:
    """The chip is made where there is none yet."""
    routing.route_interrupt(guest.vm, pit.LINE, ioctls.INTERRUPT_VECTOR)
    try:
        pit.tick(guest.vm, _LATER_NS, once=True)
    except KvmError:
        settings.timer_chip(guest.vm)
        pit.tick(guest.vm, _LATER_NS, once=True)


def _end_interrupt(guest: Guest) -> None:
    """The guest ends a level-triggered interrupt of userspace's I/O APIC, of which that is told.

    In a step over its WRMSR: for a monitor a signal comes between that and the exit.
    """
    vcpu = guest.vcpu
    if guest.vm.irqchip != "split":
        raise LackingError("KVM_CAP_SPLIT_IRQCHIP", 0)
    routing.route_level_interrupt(guest.vm, _PIN, _OTHER_VECTOR)
    ioctls.change_lapic(vcpu, state.level_in_service(_OTHER_VECTOR))
    guest.ram.write(_WRMSR_AT, _WRMSR)
    regs = ioctls.get_regs(vcpu)
    regs.rip, regs.rcx, regs.rax, regs.rdx = guest.address(_WRMSR_AT), _END_OF_INTERRUPT, 0, 0
    ioctls.set_regs(vcpu, regs)
    vcpu.set_guest_debug(single_step=True)
    try:
        result = vcpu.run_raw()
        if isinstance(result.exit, exits.IoapicEoi):
            # APICv tells KVM by an exit of its own, which comes before the step's: that is left.
            vcpu.run_raw()
            raise LackingError("KVM_EXIT_DEBUG before KVM_EXIT_IOAPIC_EOI", 0)
    finally:
        vcpu.set_guest_debug(single_step=False)
    if not isinstance(result.exit, exits.Debug):
        raise LackingError("KVM_SET_GUEST_DEBUG", 0)


def _reset(guest: Guest) -> None:
    """Hyper-V's MSR for it, as a monitor restores it."""
    if not paravirtual.ask_for_reset(guest.vcpu):
        raise LackingError("HV_X64_MSR_RESET", 0)


def _is_end(found: VcpuExit | None) -> bool:
    return isinstance(found, exits.IoapicEoi) and found.vector == _OTHER_VECTOR


def _is_reset(found: VcpuExit | None) -> bool:
    return isinstance(found, exits.SystemEvent) and found.type == _RESET


#: What asks for an exit that comes at the next entry, and whether one is it.
EXITS: Mapping[str, tuple[Callable[[Guest], None], Callable[[VcpuExit | None], bool]]] = {
    "end_of_interrupt": (_end_interrupt, _is_end),
    "reset": (_reset, _is_reset),
}


def exit_and_leave(subject: Subject, given: Arguments) -> None:
    """KVM owes an exit, and immediate runs come before it. Nothing where this KVM lacks it."""
    guest = subject.guest
    ask, is_it = EXITS[given["what"]]
    with ExitStack() as put_back:
        if guest.vm.irqchip != "none":
            put_back.callback(routing.route_nothing, guest.vm)
        put_back.enter_context(kept.kept(guest.vcpu))
        guest.vcpu.set_mp_state(waiting.number("runnable"))  # it may sleep
        try:
            ask(guest)
        except LackingError:
            return
        for _ in range(given["times"]):
            runs.leave(subject, ways.BYTE)
        before = ioctls.get_regs(guest.vcpu).rip
        result = guest.vcpu.run_raw(progress_forbidden=True)
        after = ioctls.get_regs(guest.vcpu).rip
    if not is_it(result.exit) or before != after:
        raise Violation(
            _CLAIM,
            f"{subject.where()}, after {given['times']} immediate runs with an exit owed "
            f"({given['what']}), KVM_RUN must bring it before the guest executes anything, but "
            f"RIP went from {before:#x} to {after:#x}, and {result.describe()}",
        )
