# SPDX-License-Identifier: GPL-2.0-only
"""riscv64: everything that KVM lets userspace read of a vCPU, as numbers by name."""

from __future__ import annotations

from collections.abc import Mapping

from harness.kvm import parts
from harness.kvm.arch.riscv64 import aia
from harness.kvm.arch.riscv64.numbers import listed, name_of
from harness.kvm.registers import get_registers
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm

#: What goes on by itself while the vCPU does not run, and why: it is not compared.
COUNTS_TIME: Mapping[str, str] = {"timer time": "the time CSR, less the VM's offset"}
#: What an immediate run may count, and why: it comes before vcpu_load().
COUNTS_RUNS: Mapping[str, str] = {}
#: What a run that a signal ends may count, and why.
COUNTS_SIGNALS: Mapping[str, str] = {
    "statistic signal_exits": "this is one",
    **{
        f"statistic {name}": "a waiting vCPU may poll, and begin to sleep, before the signal"
        for name in (
            *("halt_successful_poll", "halt_attempted_poll", "halt_poll_invalid", "halt_wakeup"),
            *("halt_poll_success_ns", "halt_poll_fail_ns", "halt_wait_ns"),
        )
    },
}
#: What the end of an operation may change besides the registers of its program, and why.
COMPLETION_CHANGES: Mapping[str, str] = {
    f"statistic {name}": "some kernels count an operation where it begins, some at its end"
    for name in ("ecall_exit_stat", "mmio_exit_user", "csr_exit_user")
}
#: What KVM counts of the guest. The others are the host's.
_STATISTICS = (
    *("ecall_exit_stat", "wfi_exit_stat", "wrs_exit_stat", "mmio_exit_user", "mmio_exit_kernel"),
    *("csr_exit_user", "csr_exit_kernel", "signal_exits", "exits"),
    *("halt_successful_poll", "halt_attempted_poll", "halt_poll_invalid", "halt_wakeup"),
    *("halt_poll_success_ns", "halt_poll_fail_ns", "halt_wait_ns", "blocking"),
    *("instr_page_faults", "load_page_faults", "store_page_faults", "load_misaligned_exits"),
)


def whole(vcpu: Vcpu, vm: Vm) -> Mapping[str, int]:
    """All registers that KVM_GET_REG_LIST (Linux 6.6) names, the MP state, IMSIC and statistics.

    Before 6.6 those that have a name here. Raises `KvmError`.
    """
    found = get_registers(vcpu, listed(vcpu), may_lack=True)
    counted = parts.statistics(vcpu, vm, _STATISTICS)
    return {
        **{name_of(number): value for number, value in found.items()},
        "mp_state": vcpu.mp_state(),
        **{f"imsic {name}": value for name, value in aia.registers(vm).items()},
        **{f"statistic {name}": value for name, value in counted.items()},
    }
