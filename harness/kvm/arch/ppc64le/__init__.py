# SPDX-License-Identifier: GPL-2.0-only
"""ppc64le: the names of `harness.kvm.arch.interface`, which mypy holds this package to.

state       where a vCPU begins; what is compared, saved and restored
readable    what KVM lets userspace read
devices     how the guest speaks: by MMIO; and its hypercalls
standstill  why a vCPU stands still
"""

from __future__ import annotations

import errno
from collections.abc import Mapping

from guest_blobs import memory_map as at
from harness.kvm.arch.interface import NoIrqchipError, NoNestedGuestError
from harness.kvm.arch.ppc64le.devices import CALL, CHANNELS
from harness.kvm.arch.ppc64le.patterns import fill
from harness.kvm.arch.ppc64le.readable import (
    COMPLETION_CHANGES,
    COUNTS_RUNS,
    COUNTS_SIGNALS,
    COUNTS_TIME,
    whole,
)
from harness.kvm.arch.ppc64le.standstill import standstill
from harness.kvm.arch.ppc64le.state import (
    MODES,
    accumulator,
    copy_state,
    enter,
    program_counter,
    register_tables,
    registers,
    scratch,
    set_accumulator,
    set_scratch,
)
from harness.kvm.mmio_speech import SPEECH, answer, said
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import lib

__all__ = [
    "CHANNELS",
    "COMPLETED_BY_REASON",
    "COMPLETION_BITS",
    "COMPLETION_CHANGES",
    "COMPLETION_REGISTERS",
    "COUNTS_RUNS",
    "COUNTS_SIGNALS",
    "COUNTS_TIME",
    "FAST_PATHS",
    "HALTS_IN_KERNEL",
    "IRQCHIPS",
    "MODES",
    "NAME",
    "RAM_BASE",
    "SINGLE_STEPS",
    "SPEECH",
    "STATISTICS",
    "VCPU_NUMBERS",
    "accumulator",
    "answer",
    "complete_vm",
    "configure",
    "copy_state",
    "crossing_datum",
    "deliver_interrupt",
    "enable_hypercall_exits",
    "enter",
    "fill",
    "halted",
    "hypercall_program",
    "nested_program",
    "prepare_vm",
    "program_counter",
    "registers",
    "said",
    "scratch",
    "set_accumulator",
    "set_scratch",
    "standstill",
    "whole",
]

NAME = "ppc64le"
RAM_BASE = 0
IRQCHIPS: tuple[str, ...] = ("none",)
# A guest that cedes its processor waits there, but nothing that userspace has ends that again and
# again: the one line stays up. suites/vcpu_states/ppc64le/test_ceded.py is about it.
HALTS_IN_KERNEL: tuple[str, ...] = ()
# KVM_CAP_MAX_VCPU_ID counts the threads of each core, and a VM that asks for none has one a core
# (kvmppc_core_vcpu_create_hv(), emul_smt_mode).
VCPU_NUMBERS: tuple[str, ...] = ("KVM_CAP_MAX_VCPUS",)
COMPLETION_REGISTERS: tuple[str, ...] = ("r3", "pc")
COMPLETION_BITS: Mapping[str, int] = {}
# KVM-HV waits by itself (kvmhv_run_single_vcpu()), and does not count that as blocking.
STATISTICS: Mapping[str, str] = {"exits": "sum_exits", "blocking": "none of KVM-HV"}
COMPLETED_BY_REASON: frozenset[str] = frozenset()
# KVM_CAP_PPC_GUEST_DEBUG_SSTEP: KVM-PR has it, KVM-HV has not.
SINGLE_STEPS = False
FAST_PATHS: Mapping[str, str] = {}


def prepare_vm(vm: Vm, irqchip: str = "none") -> None:
    """Where the guest's page tables are."""
    if irqchip != "none":
        raise NoIrqchipError(f"the in-kernel irqchip ({irqchip})", errno.EOPNOTSUPP)
    register_tables(vm)


def complete_vm(vm: Vm) -> None:
    """Nothing."""


def configure(vcpu: Vcpu) -> None:
    """KVM-HV runs guests of PAPR only. Raises `KvmError`."""
    vcpu.enable_cap("KVM_CAP_PPC_PAPR")


def halted(vcpu: Vcpu) -> bool | None:
    """KVM does not say: there are no MP states."""
    return None


def deliver_interrupt(vm: Vm, vcpu: Vcpu) -> None:
    """Raises the line of the external interrupt (KVM_INTERRUPT).

    It stays up: the programs take one interrupt of it (the program vectors).
    """
    vcpu.interrupt(int(lib.KVM_INTERRUPT_SET_LEVEL))


def crossing_datum(mode: str) -> tuple[int, int]:
    """No program has an access that takes several exits."""
    return at.MMIO_BASE, 0


def hypercall_program() -> Mapping[int, int]:
    """A hypercall that KVM hands on."""
    return {4: CALL, 5: 0x11, 6: 0x22, 7: 0x33, 8: 0x44}


def enable_hypercall_exits(vm: Vm) -> bool:
    """Nothing is to be enabled."""
    return True


def nested_program() -> str:
    """None yet."""
    raise NoNestedGuestError("the suite has no program for Power that runs a guest of its own")
