# SPDX-License-Identifier: GPL-2.0-only
"""What userspace can do to a vCPU on x86-64 only."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from harness import ways
from harness.kvm.abi import KvmError
from harness.kvm.arch.x86_64 import IRQCHIPS, devices, ioctls, kept, state, window
from harness.kvm.kicked_here import run_kicked
from harness.kvm.run import RunResult
from harness.kvm.senders import SENDERS
from harness.model import x86_64 as program
from harness.model.answers import Circumstances, ModelVcpu
from harness.model.program import GuestState
from harness.sequences import kicks, runs, twins
from harness.sequences.arch.x86_64 import counting, owed, processors, programs, to_come
from harness.sequences.operation import AnyNumber, Arguments, OneOf, Operation
from harness.sequences.subject import Subject
from harness.sequences.violation import Violation


def _rewrite(subject: Subject, given: Arguments) -> None:
    """What KVM says of the vCPU is set again: nothing has changed."""
    vcpu = subject.guest.vcpu
    with contextlib.suppress(KvmError):  # this KVM or VM has it not
        kept.write(vcpu, given["struct"], kept.read(vcpu, given["struct"]))


_SETTABLE = (*program.MSR_PLACES, "dr0", "dr1", "dr2", "dr3", "cr2", "rbp", "r8", "r9")


def _set_register(subject: Subject, given: Arguments) -> None:
    """A place of the program's gets another value by an ioctl."""
    vcpu, name = subject.guest.vcpu, given["place"]
    value = given["value"] & program.PROGRAM.held_bits(name)
    if name in program.MSR_PLACES:
        ioctls.set_msr(vcpu, program.MSR_PLACES[name], value)
    elif name.startswith("dr"):
        registers = kept.read(vcpu, "debugregs")
        registers.db[int(name[2:])] = value
        kept.write(vcpu, "debugregs", registers)
    elif name == "cr2":
        sregs = ioctls.get_sregs(vcpu)
        sregs.cr2 = value
        ioctls.set_sregs(vcpu, sregs)
    else:
        regs = ioctls.get_regs(vcpu)
        setattr(regs, name, value)
        ioctls.set_regs(vcpu, regs)
    subject.change(_with_place(subject.model, name, value))


def _with_place(model: ModelVcpu, place: str, value: int) -> GuestState:
    return replace(model.state, places={**model.state.places, place: value})


def _nmi(subject: Subject, given: Arguments) -> None:
    subject.guest.vcpu.ioctl("KVM_NMI")
    subject.change(subject.model.state.sent("NMIs"))


def _filter_again(subject: Subject, given: Arguments) -> None:
    """The same MSR filter once more: KVM owes the vCPU to look at it."""
    ioctls.deny_msr(subject.guest.vm, devices.MSR)


def _shared_registers(subject: Subject, given: Arguments) -> None:
    """A register is changed in kvm_run, and all are given there after a run that ends at once."""
    vcpu, bit = subject.guest.vcpu, ioctls.sync_bit("regs")
    if not subject.guest.vm.check_extension("KVM_CAP_SYNC_REGS") & bit:
        return
    page, shared = vcpu.run_page, ioctls.sync_regs(vcpu).regs
    # Of an operation that is pending the emulator would lose what it has read.
    step, pending = subject.model.step, subject.model.pending
    if given["change"] and (program.tells_only(step) or not pending):
        registers = ioctls.get_regs(vcpu)
        registers.r9 = given["value"]
        state.copy(shared, registers)
        page.kvm_dirty_regs = bit
        subject.change(_with_place(subject.model, "r9", given["value"]))
    page.kvm_valid_regs = bit
    try:
        runs.leave(subject, ways.WAYS[given["way"]])
        left = int(page.kvm_dirty_regs)
    finally:
        page.kvm_valid_regs = page.kvm_dirty_regs = 0
    given_there, now = state.fields(shared), state.fields(ioctls.get_regs(vcpu))
    differs = [name for name, value in now.items() if given_there[name] != value]
    if left or differs:
        raise Violation(
            "states.sync_regs",
            f"{subject.where()}, kvm_run must have the registers after a run that ended at once, "
            f"and kvm_dirty_regs be 0, but it is {left:#x}, and these differ: "
            f"{', '.join(differs) or 'none'}",
        )


def _window(subject: Subject, given: Arguments) -> None:
    """Userspace asks for the window for an interrupt, which opens, or a kick ends the run.

    Nothing where KVM keeps all of the interrupt controller, or where either may be.
    """
    guest, model = subject.guest, subject.model
    there, opens = model.at_exit(), model.may_take_interrupts()
    either = there.waits() and opens and not there.takes_interrupts()
    if subject.setting.irqchip not in window.IRQCHIPS or either:
        return
    kicked = there.waits() and not opens
    window.request(guest.vcpu, True)
    window.forget(guest.vcpu)

    def run() -> RunResult:
        if not kicked:
            return guest.vcpu.run_raw()
        sender = SENDERS[given["sender"]]
        return run_kicked(guest, lambda: kicks.ready_for_kick(subject), sender)[0]

    try:
        met = Circumstances(kicked=kicked, window=True)
        answer = subject.run(run, met, given["answer"], refuse=given["refuse"])
        ready, on = window.ready(guest.vcpu), guest.vcpu.run_page.if_flag
    finally:
        window.request(guest.vcpu, False)
    if answer.window and (ready, on) != (1, 1):
        raise Violation(
            "states.window",
            f"{subject.where()}, at the window for interrupts, ready_for_interrupt_injection and "
            f"if_flag must be 1, but they are {ready} and {on}",
        )


def _spins_or_leaves(model: ModelVcpu) -> bool:
    """No exit of the same instruction comes first, and the guest does not sleep.

    Nor is its script over without another: where the window opens it may have begun anew, or not.
    """
    return model.ready and not (model.is_divided() or model.is_over() or model.at_exit().sleeps())


def _undisturbed(model: ModelVcpu) -> bool:
    """Nothing is on its way that would end a wait."""
    to_come = any(events.to_come for events in model.state.events.values())
    return model.settled() and model.ready and not to_come


_WAY = OneOf(tuple(range(len(ways.WAYS))))
_TIMES, _NONE_OR_SOME = OneOf((1, 2, 20)), OneOf((0, 1, 2))

OPERATIONS: Mapping[str, Operation] = {
    "rewrite": Operation(_rewrite, ModelVcpu.settled, {"struct": OneOf(tuple(kept.STRUCTS))}),
    "set_register": Operation(
        _set_register,
        ModelVcpu.settled,
        {"place": OneOf(_SETTABLE), "value": AnyNumber()},
    ),
    # SVM steps over the IRET before an NMI that waits, and loses the guest's own RFLAGS.TF by it.
    "nmi": Operation(_nmi, lambda model: model.ready and not model.raises(), weight=2),
    "wait_and_leave": Operation(
        processors.wait_and_leave,
        _undisturbed,
        {"state": OneOf(("HALTED", "UNINITIALIZED", "INIT_RECEIVED")), "way": _WAY},
        needs="irqchip",
    ),
    "start_and_leave": Operation(
        processors.start_and_leave,
        _undisturbed,
        {"vector": OneOf((2, 0x9F)), "times": _TIMES},
        needs="irqchip",
    ),
    "init_and_leave": Operation(
        processors.init_and_leave,
        lambda model: model.ready,
        {
            "state": OneOf(("runnable", "uninitialized", "halted")),
            "sipi": OneOf((False, True)),
            "times": _TIMES,
        },
        needs="irqchip",
        weight=2,
    ),
    "awake": Operation(
        processors.awake,
        arguments={"masked": OneOf((False, True)), "times": _NONE_OR_SOME},
        needs="irqchip",
    ),
    "wake": Operation(
        to_come.wake,
        lambda model: model.at_exit().sleeps(),
        {"way": _WAY, "times": _NONE_OR_SOME},
        needs="irqchip",
        weight=4,
    ),
    "timer_and_leave": Operation(
        to_come.timer_and_leave,
        _undisturbed,
        {"way": _WAY, "times": _TIMES},
        needs="full",
        weight=2,
    ),
    "exit_and_leave": Operation(
        to_come.exit_and_leave,
        _undisturbed,
        {"what": OneOf(tuple(to_come.EXITS)), "times": _TIMES},
        weight=2,
    ),
    "shared_registers": Operation(
        _shared_registers,
        lambda model: not model.raises(),
        {"change": OneOf((False, True)), "value": AnyNumber(), "way": _WAY},
    ),
    "window": Operation(
        _window,
        _spins_or_leaves,
        {
            "answer": AnyNumber(),
            "refuse": OneOf((False, True)),
            "sender": OneOf(tuple(SENDERS)),
        },
        weight=3,
    ),
    "owe": Operation(
        owed.owe,
        lambda model: model.ready,
        {"what": OneOf(tuple(owed.SHARED)), "way": _WAY, "times": _NONE_OR_SOME},
        weight=4,
    ),
    "twin": twins.operation(programs.OTHERS, IRQCHIPS),
    "events_beside": Operation(
        counting.events_beside,
        arguments={
            "mode": OneOf(counting.MODES),
            "irqchip": OneOf(IRQCHIPS),
            "done": AnyNumber(),
        },
        weight=4,
    ),
    "filter_again": Operation(_filter_again, needs="msr_exits"),
}
