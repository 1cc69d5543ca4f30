# SPDX-License-Identifier: GPL-2.0-only
"""riscv64: the numbers of registers, and their names (arch/riscv/include/uapi/asm/kvm.h)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.kvm.abi import KvmError
from harness.kvm.registers import register_list
from harness.kvm.vcpu import Vcpu
from harness.native import lib

#: In the order of struct kvm_riscv_core.
_CORE = (
    *("pc", "ra", "sp", "gp", "tp", "t0", "t1", "t2", "s0", "s1"),
    *(f"a{number}" for number in range(8)),
    *(f"s{number}" for number in range(2, 12)),
    *("t3", "t4", "t5", "t6", "mode"),
)
#: In the order of struct kvm_riscv_csr; the last is of Linux 6.7.
_CSRS = (
    *("sstatus", "sie", "stvec", "sscratch", "sepc", "scause", "stval", "sip", "satp"),
    *("scounteren", "senvcfg"),
)
_TIMER = ("frequency", "time", "compare", "state")
_CONFIG = (
    *("isa", "zicbom_block_size", "mvendorid", "marchid", "mimpid", "zicboz_block_size"),
    "satp_mode",
)

_LONG = int(lib.KVM_REG_RISCV) | int(lib.KVM_REG_SIZE_U64)


def _named(kind: int, names: tuple[str, ...]) -> Mapping[str, int]:
    return {name: _LONG | kind | place for place, name in enumerate(names)}


CORE = _named(int(lib.KVM_REG_RISCV_CORE), _CORE)
CSRS = _named(int(lib.KVM_REG_RISCV_CSR), _CSRS)
CONFIG = _named(int(lib.KVM_REG_RISCV_CONFIG), _CONFIG)
TIMER = _named(int(lib.KVM_REG_RISCV_TIMER), _TIMER)
_DOUBLES = (*(f"f{number}" for number in range(32)),)
DOUBLES = _named(int(lib.KVM_REG_RISCV_FP_D), _DOUBLES)
FCSR = int(lib.KVM_REG_RISCV) | int(lib.KVM_REG_SIZE_U32) | int(lib.KVM_REG_RISCV_FP_D) | 32

#: By number, as `whole()` names them.
NAMES: Mapping[int, str] = {
    **{number: f"regs {name}" for name, number in CORE.items()},
    **{number: f"regs {name}" for name, number in CSRS.items()},
    **{number: f"timer {name}" for name, number in TIMER.items()},
    **{number: f"config {name}" for name, number in CONFIG.items()},
    **{number: f"double {name}" for name, number in DOUBLES.items()},
    FCSR: "double fcsr",
}


def listed(vcpu: Vcpu) -> Sequence[int]:
    """Of all registers (KVM_GET_REG_LIST, Linux 6.6); before, of those that have a name here."""
    try:
        return register_list(vcpu)
    except KvmError:
        return tuple(NAMES)


def extension(number: int) -> int:
    """The number of the register that says whether the guest has an extension of the ISA."""
    return _LONG | int(lib.KVM_REG_RISCV_ISA_EXT) | number


def sbi_extension(number: int) -> int:
    """The same for an extension of the SBI."""
    return _LONG | int(lib.KVM_REG_RISCV_SBI_EXT) | number


def name_of(number: int) -> str:
    """Of a register that has no name here, its number: a later kernel's, or an extension's."""
    return NAMES.get(number, f"register {number:#x}")
