# SPDX-License-Identifier: GPL-2.0-only
"""What userspace can do to a vCPU on arm64 only."""

from __future__ import annotations

from collections.abc import Mapping

from harness.kvm.arch.aarch64 import IRQCHIPS, MODES, moving, names, state
from harness.kvm.registers import set_register
from harness.kvm.vcpu import Vcpu
from harness.model import aarch64 as program
from harness.sequences import plain_others
from harness.sequences.operation import Operation

_HALF = 64  # bits of a vector that a step puts twice
_SETTABLE = (*program.VECTORS, *program.GENERAL, *program.SYSTEM)


def _set_place(vcpu: Vcpu, name: str, value: int) -> None:
    if name in program.VECTORS:
        index = int(name[1:])
        there = state.every_register(vcpu)
        wide = names.sve_vector(index)
        number = wide if wide in there else names.vector(index)
        set_register(vcpu, number, value | value << _HALF)
    else:
        set_register(vcpu, names.number(name), value)


OPERATIONS: Mapping[str, Operation] = plain_others.operations(
    *(program.PROGRAM, _SETTABLE, _set_place, moving.rewrite), modes=MODES, irqchips=IRQCHIPS
)
