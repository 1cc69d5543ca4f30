# SPDX-License-Identifier: GPL-2.0-only
"""What userspace can do to a vCPU on riscv64 only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.kvm.arch.riscv64 import IRQCHIPS, MODES, moving
from harness.kvm.arch.riscv64.numbers import CORE, CSRS, DOUBLES
from harness.kvm.registers import set_register
from harness.model import riscv64 as program
from harness.model.answers import ModelVcpu
from harness.sequences import plain_others, twins
from harness.sequences.operation import AnyNumber, Arguments, OneOf, Operation
from harness.sequences.subject import Subject


def _rewrite(subject: Subject, given: Arguments) -> None:
    """What KVM says of the vCPU is set again: nothing has changed."""
    moving.rewrite(subject.guest.vcpu)


_NUMBERS = {**DOUBLES, **CORE, **CSRS}


def _set_register(subject: Subject, given: Arguments) -> None:
    """A place of the program's gets another value by an ioctl."""
    name = given["place"]
    value = given["value"] & program.PROGRAM.held_bits(name)
    set_register(subject.guest.vcpu, _NUMBERS[name], value)
    places = {**subject.model.state.places, name: value}
    subject.change(replace(subject.model.state, places=places))


OPERATIONS: Mapping[str, Operation] = {
    "rewrite": Operation(_rewrite, ModelVcpu.settled),
    "set_register": Operation(
        _set_register,
        ModelVcpu.settled,
        {"place": OneOf(program.PLACES), "value": AnyNumber()},
    ),
    "twin": twins.operation(plain_others.others(MODES, moving.rewrite), IRQCHIPS),
}
