# SPDX-License-Identifier: GPL-2.0-only
"""What userspace can do to a vCPU on arm64 only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from harness.kvm.arch.aarch64 import IRQCHIPS, MODES, moving, names, state
from harness.kvm.registers import set_register
from harness.model import aarch64 as program
from harness.model.answers import ModelVcpu
from harness.sequences import plain_others, twins
from harness.sequences.operation import AnyNumber, Arguments, OneOf, Operation
from harness.sequences.subject import Subject

_HALF = 64  # bits of a vector that a step puts twice


def _rewrite(subject: Subject, given: Arguments) -> None:
    """What KVM says of the vCPU is set again: nothing has changed."""
    moving.rewrite(subject.guest.vcpu)


_SETTABLE = (*program.VECTORS, *program.GENERAL, *program.SYSTEM)


def _set_register(subject: Subject, given: Arguments) -> None:
    """A place of the program's gets another value by an ioctl."""
    vcpu, name = subject.guest.vcpu, given["place"]
    value = given["value"] & program.PROGRAM.held_bits(name)
    if name in program.VECTORS:
        index = int(name[1:])
        there = state.every_register(vcpu)
        wide = names.sve_vector(index)
        number = wide if wide in there else names.vector(index)
        set_register(vcpu, number, value | value << _HALF)
    else:
        set_register(vcpu, names.number(name), value)
    places = {**subject.model.state.places, name: value}
    subject.change(replace(subject.model.state, places=places))


OPERATIONS: Mapping[str, Operation] = {
    "rewrite": Operation(_rewrite, ModelVcpu.settled),
    "set_register": Operation(
        _set_register, ModelVcpu.settled, {"place": OneOf(_SETTABLE), "value": AnyNumber()}
    ),
    "twin": twins.operation(plain_others.others(MODES, moving.rewrite), IRQCHIPS),
}
