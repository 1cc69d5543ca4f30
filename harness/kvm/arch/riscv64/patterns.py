# SPDX-License-Identifier: GPL-2.0-only
"""riscv64: values in whatever of a vCPU's state would else be zero, so that a loss is seen."""

from __future__ import annotations

from guest_blobs.memory_map import DONE_WORD
from harness.kvm.arch.riscv64.numbers import CORE, CSRS, DOUBLES, FCSR, listed
from harness.kvm.registers import set_register
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm

#: Which no program uses before it sets them.
_FREE = ("ra", "gp", "tp", "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6")
#: Which the trap's entry sets, and nothing else reads. sepc has no bit 0, nor 1 without C.
_OF_TRAPS = {
    "sscratch": 0x1122_3344_5566_7788,
    "sepc": 0x7654_3210,
    "scause": 13,  # a page fault of a load
    "stval": DONE_WORD,
}
_FCSR = 0x61  # rounding up, and an inexact result


def fill(vcpu: Vcpu, vm: Vm) -> None:
    """Patterns in registers, the CSRs of traps and the FPU. Raises `KvmError`."""
    for place, name in enumerate(_FREE):
        set_register(vcpu, CORE[name], _pattern(0x20 + place))
    for name, value in _OF_TRAPS.items():
        set_register(vcpu, CSRS[name], value)
    there = set(listed(vcpu))
    for place, number in enumerate(DOUBLES.values()):
        if number in there:
            set_register(vcpu, number, _pattern(0x40 + place))
    if FCSR in there:
        set_register(vcpu, FCSR, _FCSR)


def _pattern(seed: int) -> int:
    """No byte is zero, and no two registers are the same."""
    return int.from_bytes(bytes(1 + (seed * 37 + at * 11) % 255 for at in range(8)), "little")
