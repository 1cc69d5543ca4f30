# SPDX-License-Identifier: GPL-2.0-only
"""arm64: everything that KVM lets userspace read of a vCPU and its VM, as numbers by name.

Registers are those of KVM_GET_REG_LIST, each of the size that its number tells.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.kvm import parts
from harness.kvm.arch.aarch64 import gic, ioctls, names, state
from harness.kvm.parts import Part, Read
from harness.kvm.registers import get_registers
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm

#: What goes on by itself while the vCPU does not run, and why: it is not compared.
COUNTS_TIME: Mapping[str, str] = {
    "regs cntvct_el0": "the virtual counter",
    "regs cntpct_el0": "the physical counter",
}
#: What an immediate run may count, and why.
COUNTS_RUNS: Mapping[str, str] = dict.fromkeys(
    ("regs id_pfr1_el1", "regs id_aa64pfr0_el1"),
    "the first run, whatever ends it, takes the GIC out of them where there is none "
    "(kvm_finalize_sys_regs())",
)
#: What a run that a signal ends may count, and why.
COUNTS_SIGNALS: Mapping[str, str] = {**COUNTS_RUNS, "statistic signal_exits": "this is one"}
#: What the end of an operation may change besides the registers of its program, and why.
COMPLETION_CHANGES: Mapping[str, str] = {}
#: What userspace cannot read, or only by a call that changes it, and who looks at it instead.
NOT_READ: Mapping[str, str] = {
    "guest debug": "KVM_GET_GUEST_DEBUG was never built; states.single_step looks at steps taken",
    "dirty bitmap": "KVM_GET_DIRTY_LOG clears it, unless that is done by hand; races.quiet looks",
    "dirty ring": "memory shared with KVM; states.dirty_ring looks at it",
    "interrupt pin": "of a vCPU without a GIC: KVM takes it and does not tell it",
    "statistics of the VM": "the host's memory management moves them at any time",
    "requests": "what KVM owes a vCPU shows in the next run: preset.requests_kept",
    "refused registers": "what this KVM lists and answers with ENOENT: it has not got it",
}


def whole(vcpu: Vcpu, vm: Vm) -> Mapping[str, int]:
    """Every number by name, such as `regs x0` and `gic interface pmr`. Raises `KvmError`."""
    return parts.whole(_PARTS, vcpu, vm)


def _registers(vcpu: Vcpu, _vm: Vm) -> Part:
    found = get_registers(vcpu, state.every_register(vcpu), may_lack=True)
    return {names.name(number): value for number, value in found.items()}


def _events(vcpu: Vcpu, _vm: Vm) -> Part:
    told = ioctls.get_events(vcpu).exception
    return {
        "serror_pending": int(told.serror_pending),
        "serror_esr": int(told.serror_esr),
        "ext_dabt_pending": int(told.ext_dabt_pending),
    }


def _mp_state(vcpu: Vcpu, _vm: Vm) -> Part:
    return {"": vcpu.mp_state()}


def _gic(_vcpu: Vcpu, vm: Vm) -> Part:
    return gic.registers(vm)


#: What KVM counts of the guest (arch/arm64/kvm/guest.c, kvm_vcpu_stats_desc).
_STATISTICS = (
    *("hvc_exit_stat", "wfe_exit_stat", "wfi_exit_stat", "mmio_exit_user", "mmio_exit_kernel"),
    *("signal_exits", "exits", "halt_successful_poll", "halt_attempted_poll", "halt_poll_invalid"),
    *("halt_wakeup", "halt_poll_success_ns", "halt_poll_fail_ns", "halt_wait_ns", "blocking"),
)


def _statistics(vcpu: Vcpu, vm: Vm) -> Part:
    return parts.statistics(vcpu, vm, _STATISTICS)


_PARTS: Mapping[str, Read] = {
    "regs": _registers,
    "events": _events,
    "mp_state": _mp_state,
    "gic": _gic,
    "statistic": _statistics,
}
