# SPDX-License-Identifier: GPL-2.0-only
"""ppc64le: values in what of a vCPU's state would else be zero, so that a loss of it is seen."""

from __future__ import annotations

from harness.kvm.arch.ppc64le.readable import FLOATS, VECTORS
from harness.kvm.arch.ppc64le.state import get_regs, set_regs
from harness.kvm.registers import set_register
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm

#: General registers that no program uses before it sets them.
_FREE = (*range(8, 13), 14, *range(20, 29))


def fill(vcpu: Vcpu, vm: Vm) -> None:
    """Patterns in general, special, floating-point and vector registers. Raises `KvmError`."""
    regs = get_regs(vcpu)
    for number in _FREE:
        regs.gpr[number] = _pattern(8, number)
    regs.ctr, regs.lr = _pattern(8, 0x61), _pattern(8, 0x62)
    for place, name in enumerate(("srr0", "sprg0", "sprg1", "sprg2", "sprg3")):
        setattr(regs, name, _pattern(8, 0x70 + place) & ~3)
    set_regs(vcpu, regs)
    for place, number in enumerate(FLOATS.values()):
        set_register(vcpu, number, _pattern(8, 0x20 + place))
    for place, number in enumerate(VECTORS.values()):
        set_register(vcpu, number, _pattern(16, 0x40 + place))


def _pattern(length: int, seed: int) -> int:
    """No byte is zero, and no two registers are the same."""
    return int.from_bytes(bytes(1 + (seed * 37 + at * 11) % 255 for at in range(length)), "little")
