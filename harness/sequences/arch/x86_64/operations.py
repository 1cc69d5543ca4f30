# SPDX-License-Identifier: GPL-2.0-only
"""What userspace can do to a vCPU on x86-64 only."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace

from harness.kvm.abi import KvmError
from harness.kvm.arch.x86_64 import devices, ioctls, kept
from harness.model import x86_64 as program
from harness.model.answers import ModelVcpu
from harness.sequences.operation import AnyNumber, Arguments, OneOf, Operation
from harness.sequences.subject import Subject


def _rewrite(subject: Subject, given: Arguments) -> None:
    """What KVM says of the vCPU is set again: nothing has changed."""
    vcpu = subject.guest.vcpu
    with contextlib.suppress(KvmError):  # this KVM or VM has it not
        kept.write(vcpu, given["struct"], kept.read(vcpu, given["struct"]))


_MSRS = {
    "lstar": 0xC0000082,
    "cstar": 0xC0000083,
    "kernel_gs_base": 0xC0000102,
    "sysenter_eip": 0x176,
}
_SETTABLE = (*_MSRS, "dr0", "dr1", "dr2", "dr3", "cr2", "rbp", "r8", "r9")


def _set_register(subject: Subject, given: Arguments) -> None:
    """A place of the program's gets another value by an ioctl."""
    vcpu, name = subject.guest.vcpu, given["place"]
    value = given["value"] & program.kept_bits(name)
    if name in _MSRS:
        ioctls.set_msr(vcpu, _MSRS[name], value)
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
    state = subject.model.state
    subject.change(replace(state, places={**state.places, name: value}))


def _nmi(subject: Subject, given: Arguments) -> None:
    subject.guest.vcpu.ioctl("KVM_NMI")
    subject.change(subject.model.state.sent("NMIs"))


def _filter_again(subject: Subject, given: Arguments) -> None:
    """The same MSR filter once more: KVM owes the vCPU to look at it."""
    ioctls.deny_msr(subject.guest.vm, devices.MSR)


def _settled(model: ModelVcpu) -> bool:
    """Nothing is pending, and no exception on its way: KVM_SET_REGS takes that back."""
    return not model.pending and not model.refused()


OPERATIONS: Mapping[str, Operation] = {
    "rewrite": Operation(_rewrite, _settled, {"struct": OneOf(tuple(kept.STRUCTS))}),
    "set_register": Operation(
        _set_register,
        _settled,
        {"place": OneOf(_SETTABLE), "value": AnyNumber()},
    ),
    "nmi": Operation(_nmi, lambda model: model.ready),
    "filter_again": Operation(_filter_again, needs="msr_exits"),
}
