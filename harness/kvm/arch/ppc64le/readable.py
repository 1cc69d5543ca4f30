# SPDX-License-Identifier: GPL-2.0-only
"""ppc64le: what KVM lets userspace read of a vCPU, as numbers by name.

There is no KVM_GET_REG_LIST: the numbers are those of arch/powerpc/include/uapi/asm/kvm.h.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.kvm import parts
from harness.kvm.arch.ppc64le.state import LPCR, registers
from harness.kvm.registers import get_registers
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import lib

#: What goes on by itself while the vCPU does not run, and why: it is not compared.
COUNTS_TIME: Mapping[str, str] = {}
#: What an immediate run may count, and why.
COUNTS_RUNS: Mapping[str, str] = {}
#: What a run that a signal ends may count, and why.
COUNTS_SIGNALS: Mapping[str, str] = {
    "statistic signal_exits": "this is one, where KVM counts it",
    "special online": "set at the first run that is no immediate one (kvmppc_vcpu_run_hv())",
}
#: What the end of an operation may change besides the registers of its program, and why.
COMPLETION_CHANGES: Mapping[str, str] = {
    f"statistic {name}": "some kernels count an operation where it begins, some at its end"
    for name in ("mmio_exits", "syscall_exits")
}

_U32, _U64, _U128 = (
    int(lib.KVM_REG_PPC) | int(size)
    for size in (lib.KVM_REG_SIZE_U32, lib.KVM_REG_SIZE_U64, lib.KVM_REG_SIZE_U128)
)
SPECIAL_NUMBERS = {
    "dabr": _U64 | 0x8,
    "dscr": _U64 | 0x9,
    "purr": _U64 | 0xA,
    "spurr": _U64 | 0xB,
    "dar": _U64 | 0xC,
    "dsisr": _U32 | 0xD,
    "amr": _U64 | 0xE,
    "uamor": _U64 | 0xF,
    **{f"mmcr{name}": _U64 | 0x10 + place for place, name in enumerate("01A2")},
    "siar": _U64 | 0x15,
    "sdar": _U64 | 0x16,
    "sier": _U64 | 0x17,
    **{f"pmc{number}": _U32 | 0x17 + number for number in range(1, 7)},
    "fpscr": _U64 | 0x80,
    "vscr": _U32 | 0x81,
    "vpa_addr": _U64 | 0x82,
    "vpa_slb": _U128 | 0x83,
    "vpa_dtl": _U128 | 0x84,
    "tb_offset": _U64 | 0x9C,
    "iamr": _U64 | 0x9F,
    "tfhar": _U64 | 0xA0,
    "tfiar": _U64 | 0xA1,
    "texasr": _U64 | 0xA2,
    "fscr": _U64 | 0xA3,
    "pspb": _U32 | 0xA4,
    "ebbhr": _U64 | 0xA5,
    "ebbrr": _U64 | 0xA6,
    "bescr": _U64 | 0xA7,
    "tar": _U64 | 0xA8,
    "dpdes": _U64 | 0xA9,
    "dawr": _U64 | 0xAA,
    "dawrx": _U64 | 0xAB,
    "ciabr": _U64 | 0xAC,
    "ic": _U64 | 0xAD,
    "vtb": _U64 | 0xAE,
    "wort": _U64 | 0xB9,
    "pid": _U64 | 0xB2,
    "acop": _U64 | 0xB3,
    "vrsave": _U32 | 0xB4,
    "lpcr": LPCR,
    "ppr": _U64 | 0xB6,
    "arch_compat": _U32 | 0xB7,
    "tidr": _U64 | 0xBC,
    "psscr": _U64 | 0xBD,
    "dec_expiry": _U64 | 0xBE,
    "online": _U32 | 0xBF,
    "ptcr": _U64 | 0xC0,
}
FLOATS = {f"f{number}": _U64 | 0x20 + number for number in range(32)}
VECTORS = {f"v{number}": _U128 | 0x40 + number for number in range(32)}
_NAMES = {
    **{number: f"special {name}" for name, number in SPECIAL_NUMBERS.items()},
    **{number: f"float {name}" for name, number in FLOATS.items()},
    **{number: f"vector {name}" for name, number in VECTORS.items()},
}
#: What KVM counts of the guest.
_STATISTICS = (
    *("sum_exits", "mmio_exits", "signal_exits", "syscall_exits", "emulated_inst_exits"),
    *("blocking", "queue_intr", "halt_wakeup", "halt_successful_poll", "halt_attempted_poll"),
)


def whole(vcpu: Vcpu, vm: Vm) -> Mapping[str, int]:
    """All of KVM_GET_REGS, the registers by number that this KVM has, and statistics.

    Raises `KvmError`.
    """
    found = get_registers(vcpu, tuple(_NAMES), may_lack=True)
    counted = parts.statistics(vcpu, vm, _STATISTICS)
    return {
        **{f"regs {name}": value for name, value in registers(vcpu).items()},
        **{_NAMES[number]: value for number, value in found.items()},
        **{f"statistic {name}": value for name, value in counted.items()},
    }
