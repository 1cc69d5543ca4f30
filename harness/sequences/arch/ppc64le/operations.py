# SPDX-License-Identifier: GPL-2.0-only
"""What userspace can do to a vCPU on ppc64le only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.kvm.arch.ppc64le import IRQCHIPS, MODES, moving
from harness.kvm.arch.ppc64le.readable import FLOATS, SPECIAL_NUMBERS, VECTORS
from harness.kvm.arch.ppc64le.state import get_regs, set_regs
from harness.kvm.registers import set_register
from harness.kvm.vcpu import Vcpu
from harness.model import ppc64le as program
from harness.model.answers import ModelVcpu
from harness.sequences import plain_others, twins
from harness.sequences.operation import AnyNumber, Arguments, OneOf, Operation
from harness.sequences.subject import Subject

_HALF = 64  # bits of a vector that a step puts twice


def _rewrite(subject: Subject, given: Arguments) -> None:
    """What KVM says of the vCPU is set again: nothing has changed."""
    moving.rewrite(subject.guest.vcpu)


def _set_register(subject: Subject, given: Arguments) -> None:
    """A place of the program's gets another value by an ioctl."""
    name = given["place"]
    value = given["value"] & program.PROGRAM.held_bits(name)
    _set_place(subject.guest.vcpu, name, value)
    places = {**subject.model.state.places, name: value}
    subject.change(replace(subject.model.state, places=places))


def _set_place(vcpu: Vcpu, name: str, value: int) -> None:
    if name in VECTORS:
        set_register(vcpu, VECTORS[name], value | value << _HALF)
    elif name in FLOATS:
        set_register(vcpu, FLOATS[name], value)
    elif name in SPECIAL_NUMBERS:
        set_register(vcpu, SPECIAL_NUMBERS[name], value)
    else:
        regs = get_regs(vcpu)
        if name in program.GENERAL:
            regs.gpr[int(name[1:])] = value
        else:
            setattr(regs, name, value)
        set_regs(vcpu, regs)


OPERATIONS: Mapping[str, Operation] = {
    "rewrite": Operation(_rewrite, ModelVcpu.settled),
    "set_register": Operation(
        _set_register,
        ModelVcpu.settled,
        {"place": OneOf(program.PLACES), "value": AnyNumber()},
    ),
    "twin": twins.operation(plain_others.others(MODES, moving.rewrite), IRQCHIPS),
}
