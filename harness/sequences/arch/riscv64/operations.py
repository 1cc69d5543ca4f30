# SPDX-License-Identifier: GPL-2.0-only
"""What userspace can do to a vCPU on riscv64 only."""

from __future__ import annotations

from collections.abc import Mapping

from harness.kvm.arch.riscv64 import IRQCHIPS, MODES, moving
from harness.kvm.arch.riscv64.numbers import CORE, DOUBLES
from harness.kvm.registers import set_register
from harness.kvm.vcpu import Vcpu
from harness.model.riscv64 import PLACES, PROGRAM
from harness.sequences import plain_others
from harness.sequences.operation import Operation

_NUMBERS = {**DOUBLES, **CORE}


def _set_place(vcpu: Vcpu, name: str, value: int) -> None:
    set_register(vcpu, _NUMBERS[name], value)


OPERATIONS: Mapping[str, Operation] = plain_others.operations(
    *(PROGRAM, PLACES, _set_place, moving.rewrite), modes=MODES, irqchips=IRQCHIPS
)
