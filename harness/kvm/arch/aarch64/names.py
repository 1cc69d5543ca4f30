# SPDX-License-Identifier: GPL-2.0-only
"""arm64: registers by number and by name (api.rst 4.68, "arm64 registers are mapped using ...").

A number holds architecture, size, group and, in the group, the place. `name()` is its inverse for
all that KVM_GET_REG_LIST may tell: what has no better one is called as the assembler calls it, such
as s3_0_c4_c6_0.
"""

from __future__ import annotations

import functools

from harness.native import lib

# struct kvm_regs of asm/kvm.h: places in units of 4 bytes.
_GENERAL = (*(f"x{number}" for number in range(31)), "sp", "pc", "pstate", "sp_el1", "elr_el1")
_BANKED = ("spsr_el1", "spsr_abt", "spsr_und", "spsr_irq", "spsr_fiq")
_WORDS = (*_GENERAL, *_BANKED)  # 8 bytes each, from 0 on
_VECTORS, _FPSR, _FPCR = 84, 212, 213

# op0, op1, CRn, CRm, op2: of what EL0 and EL1 may write, those that a program or a test names.
SYSTEM = {
    "dbgbvr0_el1": (2, 0, 0, 0, 4),
    "dbgbvr1_el1": (2, 0, 0, 1, 4),
    "mdscr_el1": (2, 0, 0, 2, 2),
    "mpidr_el1": (3, 0, 0, 0, 5),
    "id_pfr1_el1": (3, 0, 0, 1, 1),
    "id_aa64pfr0_el1": (3, 0, 0, 4, 0),
    "id_aa64mmfr2_el1": (3, 0, 0, 7, 2),
    "sctlr_el1": (3, 0, 1, 0, 0),
    "actlr_el1": (3, 0, 1, 0, 1),
    "cpacr_el1": (3, 0, 1, 0, 2),
    "ttbr0_el1": (3, 0, 2, 0, 0),
    "ttbr1_el1": (3, 0, 2, 0, 1),
    "tcr_el1": (3, 0, 2, 0, 2),
    "apiakeylo_el1": (3, 0, 2, 1, 0),
    "apiakeyhi_el1": (3, 0, 2, 1, 1),
    "afsr0_el1": (3, 0, 5, 1, 0),
    "afsr1_el1": (3, 0, 5, 1, 1),
    "esr_el1": (3, 0, 5, 2, 0),
    "far_el1": (3, 0, 6, 0, 0),
    "par_el1": (3, 0, 7, 4, 0),
    "mair_el1": (3, 0, 10, 2, 0),
    "amair_el1": (3, 0, 10, 3, 0),
    "vbar_el1": (3, 0, 12, 0, 0),
    "disr_el1": (3, 0, 12, 1, 1),
    "contextidr_el1": (3, 0, 13, 0, 1),
    "tpidr_el1": (3, 0, 13, 0, 4),
    "cntkctl_el1": (3, 0, 14, 1, 0),
    "csselr_el1": (3, 2, 0, 0, 0),
    "tpidr_el0": (3, 3, 13, 0, 2),
    "tpidrro_el0": (3, 3, 13, 0, 3),
    "cntpct_el0": (3, 3, 14, 0, 1),
    # asm/kvm.h: the numbers of the virtual timer's CVAL and CNT are the wrong way round, for ever.
    "cntv_cval_el0": (3, 3, 14, 0, 2),
    "cntp_ctl_el0": (3, 3, 14, 2, 1),
    "cntp_cval_el0": (3, 3, 14, 2, 2),
    "cntv_ctl_el0": (3, 3, 14, 3, 1),
    "cntvct_el0": (3, 3, 14, 3, 2),
}
_SHIFTS = (14, 11, 7, 3, 0)
_WIDTHS = (2, 3, 4, 4, 3)

_SVE_PREDICATES, _SVE_FFR, _SVE_LENGTHS = 0x400, 0x600, 0xFFFF


def encoding(op0: int, op1: int, crn: int, crm: int, op2: int) -> int:
    """The 16 bits that name a system register."""
    parts = zip((op0, op1, crn, crm, op2), _SHIFTS, strict=True)
    return sum(part << shift for part, shift in parts)


def _number(size: int, group: int, place: int) -> int:
    logarithm = size.bit_length() - 1
    return int(lib.KVM_REG_ARM64) | logarithm << int(lib.KVM_REG_SIZE_SHIFT) | group | place


@functools.cache
def number(name: str) -> int:
    """The number of a core or a system register, of 8 bytes. KeyError for an unknown name."""
    if name in SYSTEM:
        return _number(8, int(lib.KVM_REG_ARM64_SYSREG), encoding(*SYSTEM[name]))
    return _number(8, int(lib.KVM_REG_ARM_CORE), 2 * {n: i for i, n in enumerate(_WORDS)}[name])


def vector(index: int) -> int:
    """The number of v0 to v31, which a vCPU without SVE has."""
    return _number(16, int(lib.KVM_REG_ARM_CORE), _VECTORS + 4 * index)


def sve_vector(index: int) -> int:
    """The number of z0 to z31, which a vCPU with SVE has instead."""
    return _number(256, int(lib.KVM_REG_ARM64_SVE), index << 5)


def sve_predicate(index: int) -> int:
    """The number of p0 to p15."""
    return _number(32, int(lib.KVM_REG_ARM64_SVE), _SVE_PREDICATES | index << 5)


def firmware_features(index: int) -> int:
    """The number of a bitmap of the firmware's services, KVM_REG_ARM_STD_BMAP and on."""
    return _number(8, int(lib.KVM_REG_ARM_FW_FEAT_BMAP), index)


def group(register: int) -> int:
    """KVM_REG_ARM_CORE and its like."""
    return register & int(lib.KVM_REG_ARM_COPROC_MASK)


@functools.cache
def name(register: int) -> str:
    """A register's name, the same for no two that KVM_GET_REG_LIST tells."""
    place, kind = register & 0xFFFF, group(register)
    if kind == lib.KVM_REG_ARM_CORE:
        return _core(place)
    if kind == lib.KVM_REG_ARM64_SYSREG:
        return _system(place)
    if kind == lib.KVM_REG_ARM64_SVE:
        return _sve(place)
    if kind == lib.KVM_REG_ARM_FW:
        return f"firmware {place}"
    if kind == lib.KVM_REG_ARM_FW_FEAT_BMAP:
        return f"firmware_features {place}"
    return f"{register:#x}"


def _core(place: int) -> str:
    if place < 2 * len(_WORDS):
        return _WORDS[place // 2]
    return {_FPSR: "fpsr", _FPCR: "fpcr"}.get(place) or f"v{(place - _VECTORS) // 4}"


def _system(place: int) -> str:
    parts = tuple(
        place >> shift & (1 << width) - 1 for shift, width in zip(_SHIFTS, _WIDTHS, strict=True)
    )
    op0, op1, crn, crm, op2 = parts
    return _BY_ENCODING.get(place) or f"s{op0}_{op1}_c{crn}_c{crm}_{op2}"


def _sve(place: int) -> str:
    if place == _SVE_LENGTHS:
        return "sve_lengths"
    index = place >> 5 & 0x1F
    if place >= _SVE_FFR:
        return "ffr"
    return f"p{index}" if place >= _SVE_PREDICATES else f"z{index}"


_BY_ENCODING = {encoding(*parts): each for each, parts in SYSTEM.items()}
