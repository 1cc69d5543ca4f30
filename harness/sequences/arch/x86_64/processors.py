# SPDX-License-Identifier: GPL-2.0-only
"""Operations on MP states: of the vCPU at hand, and of another one that was not started."""

from __future__ import annotations

import errno

from harness import ways
from harness.kvm import abi
from harness.kvm.arch.x86_64 import ioctls, kept, waiting
from harness.kvm.guest import Guest, SecondProcessor
from harness.kvm.run import RunResult
from harness.kvm.signals import KICK, thread_mask
from harness.kvm.vcpu import all_signals_but
from harness.native import lib
from harness.sequences import runs
from harness.sequences.operation import Arguments
from harness.sequences.subject import Subject
from harness.sequences.violation import Violation
from harness.undisturbed import first_undisturbed


def wait_and_leave(subject: Subject, given: Arguments) -> None:
    """The vCPU waits as an MP state says, and runs that end at once leave it so."""
    vcpu = subject.guest.vcpu
    vcpu.set_mp_state(abi.constant(f"KVM_MP_STATE_{given['state']}"))
    try:
        wanted = vcpu.mp_state()  # one that halts is runnable, if it was kicked
        runs.leave(subject, ways.WAYS[given["way"]])
        found = vcpu.mp_state()
    finally:
        vcpu.set_mp_state(abi.constant("KVM_MP_STATE_RUNNABLE"))
    if found != wanted:
        raise Violation(
            "states.mp_states",
            f"{subject.where()}, a run that ended at once must leave the MP state {wanted}, but "
            f"it is {found}",
        )


def start_and_leave(subject: Subject, given: Arguments) -> None:
    """A SIPI waits for the vCPU, and immediate runs neither take nor drop it.

    To ask for the MP state takes it (kvm_arch_vcpu_ioctl_get_mpstate()), so what comes of it is
    held against what comes of one without such a run.
    """
    vcpu = subject.guest.vcpu

    def place() -> tuple[int, int]:
        return int(ioctls.get_regs(vcpu).rip), int(ioctls.get_sregs(vcpu).cs.base)

    def started(*, leave: bool) -> tuple[int, tuple[int, int]]:
        with kept.kept(vcpu):
            events = kept.read(vcpu, "events")
            events.sipi_vector = given["vector"]
            events.flags |= lib.KVM_VCPUEVENT_VALID_SIPI_VECTOR
            kept.write(vcpu, "events", events)
            vcpu.set_mp_state(abi.constant("KVM_MP_STATE_SIPI_RECEIVED"))
            before = place()
            for _ in range(given["times"] if leave else 0):
                runs.leave(subject, ways.BYTE)
            if place() != before:
                raise Violation(
                    "states.mp_states",
                    f"{subject.where()}, an immediate run must not start a processor for which a "
                    f"SIPI waits, but its RIP and CS base went from {before} to {place()}",
                )
            return vcpu.mp_state(), place()

    wanted, found = started(leave=False), started(leave=True)
    if found != wanted:
        raise Violation(
            "states.mp_states",
            f"{subject.where()}, after {given['times']} immediate runs a SIPI that waited must "
            f"still start the processor: MP state, RIP and CS base must be {wanted}, but are "
            f"{found}",
        )


def _added(guest: Guest) -> SecondProcessor:
    """Another vCPU, to which messages come by its APIC id.

    KVM reads the ids of all local APICs only when one of them is written.
    """
    other = guest.add_processor()
    ioctls.set_lapic(other.vcpu, ioctls.get_lapic(other.vcpu))
    return other


def init_and_leave(subject: Subject, given: Arguments) -> None:
    """An INIT waits for another vCPU, and perhaps a SIPI behind it: immediate runs take neither.

    To ask for the MP state takes them (kvm_arch_vcpu_ioctl_get_mpstate()).
    """
    guest, page = subject.guest, 2
    other = _added(guest)
    other.vcpu.set_mp_state(waiting.number(given["state"]))
    before = guest.architecture.registers(other.vcpu)
    ioctls.send_init(guest.vm, other.number)
    if given["sipi"]:
        waiting.send_sipi(guest.vm, other.number, page)
    for _ in range(given["times"]):
        subject.leave_at_once(other.vcpu, subject.guest.vm)
    said = f"{subject.where()}, after {given['times']} immediate runs of another vCPU"
    if guest.architecture.registers(other.vcpu) != before:
        raise Violation(
            "states.mp_states", f"{said} for which an INIT waits, its registers must be as before"
        )
    wanted = "runnable" if given["sipi"] else "init_received"
    found = waiting.name(other.vcpu.mp_state())
    starts = ioctls.get_sregs(other.vcpu).cs.base
    if found != wanted or (given["sipi"] and starts != page << 12):
        raise Violation(
            "states.mp_states",
            f"{said}, the INIT {'and the SIPI that waited' if given['sipi'] else 'that waited'} "
            f"must make it {wanted}, but it is {found}, with a CS base of {starts:#x}",
        )


def awake(subject: Subject, given: Arguments) -> None:
    """An INIT ends the wait of another vCPU: EAGAIN, and KVM_RUN is to be called again.

    On each way out the thread has the mask that it had.
    """
    guest = subject.guest
    other = _added(guest)
    if given["masked"]:
        other.vcpu.set_signal_mask(all_signals_but(KICK))
    for _ in range(given["times"]):
        subject.leave_at_once(other.vcpu, guest.vm)
    other.vcpu.immediate_exit = 0
    before = sorted(thread_mask())

    def wake() -> RunResult:
        other.vcpu.set_mp_state(waiting.number("uninitialized"))
        ioctls.send_init(guest.vm, other.number)
        return other.vcpu.run_raw(goes_on=False)

    result = first_undisturbed(wake)
    said = f"{subject.where()}, an INIT for another vCPU that waits"
    if result.errno != errno.EAGAIN:
        raise Violation(
            "states.uninitialized",
            f"{said} must end its KVM_RUN with EAGAIN, but {result.describe()}",
        )
    if (after := sorted(thread_mask())) != before:
        raise Violation(
            "signals.mask_restored",
            f"{said} must leave the thread's signal mask as it was, but it went from {before} to "
            f"{after}",
        )
