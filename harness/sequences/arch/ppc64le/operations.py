# SPDX-License-Identifier: GPL-2.0-only
"""What userspace can do to a vCPU on ppc64le only."""

from __future__ import annotations

from collections.abc import Mapping

from harness.kvm.arch.ppc64le import IRQCHIPS, MODES, moving
from harness.kvm.arch.ppc64le.readable import FLOATS, SPECIAL_NUMBERS, VECTORS
from harness.kvm.arch.ppc64le.state import get_regs, set_regs
from harness.kvm.registers import set_register
from harness.kvm.vcpu import Vcpu
from harness.model import ppc64le as program
from harness.sequences import plain_others
from harness.sequences.operation import Operation

_HALF = 64  # bits of a vector that a step puts twice


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


OPERATIONS: Mapping[str, Operation] = plain_others.operations(
    *(program.PROGRAM, program.PLACES, _set_place, moving.rewrite), modes=MODES, irqchips=IRQCHIPS
)
