# SPDX-License-Identifier: GPL-2.0-only
"""arm64: values in whatever of a vCPU's state would else be zero, so that a loss of it is seen."""

from __future__ import annotations

import errno

from harness.kvm.abi import KvmError
from harness.kvm.arch.aarch64 import names, state
from harness.kvm.registers import set_register, size
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm

#: General registers that no program uses before an interrupt.
_UNUSED = (*(f"x{number}" for number in range(13, 27)), "x29", "x30")
#: System registers that change nothing of what a program does, and bits that they have.
_SYSTEM = {
    "tpidr_el0": 0x1234_5678_9ABC_DEF0,
    "tpidrro_el0": 0x2345_6789_ABCD_EF01,
    "tpidr_el1": 0x3456_789A_BCDE_F012,
    "contextidr_el1": 0x4567_89AB,
    "far_el1": 0x5678_9ABC_DEF0,
    "esr_el1": 0x0123_4567,
    "elr_el1": 0x6789_ABC0,
    "spsr_el1": 0x3C5,
    "par_el1": 0x789A_B000,
    "ttbr1_el1": 0x89_A000,
    "apiakeylo_el1": 0x9ABC_DEF0_1234_5678,
    "apiakeyhi_el1": 0xABCD_EF01_2345_6789,
    "cntv_cval_el0": 0x7FFF_FFFF_FFFF_0000,
    "cntp_cval_el0": 0x7FFF_FFFF_FFFE_0000,
}
# Every processor has two (Arm DDI 0487, ID_AA64DFR0_EL1).
_BREAKPOINT_ADDRESSES = ("dbgbvr0_el1", "dbgbvr1_el1")


def fill(vcpu: Vcpu, vm: Vm) -> None:
    """Patterns in general, vector and system registers, and in breakpoints that are off.

    For a vCPU that is put at its program's entry. What this KVM lacks is left out. Raises
    `KvmError`.
    """
    for index, name in enumerate(_UNUSED):
        set_register(vcpu, names.number(name), _pattern(8, index))
    for name, value in _SYSTEM.items():
        _set_where_it_is(vcpu, names.number(name), value)
    for number in state.every_register(vcpu):
        kind = names.name(number)
        if kind in _VECTORS:
            set_register(vcpu, number, _pattern(size(number), 0x40 + _VECTORS.index(kind)))
        elif kind in _BREAKPOINT_ADDRESSES:
            _set_where_it_is(vcpu, number, 0x1_1110_0000)


def _set_where_it_is(vcpu: Vcpu, number: int, value: int) -> None:
    try:
        set_register(vcpu, number, value)
    except KvmError as error:
        if error.errno not in (errno.ENOENT, errno.EINVAL):
            raise


def _pattern(count: int, seed: int) -> int:
    """No byte is 0, and no two seeds give the same."""
    return int.from_bytes(bytes(1 + (at * 29 + seed * 7) % 255 for at in range(count)), "little")


_VECTORS = tuple(f"{kind}{number}" for kind in "vz" for number in range(32))
