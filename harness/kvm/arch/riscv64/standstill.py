# SPDX-License-Identifier: GPL-2.0-only
"""riscv64: why a vCPU stands still, for a bug report."""

from __future__ import annotations

from harness.kvm import abi
from harness.kvm.arch.riscv64.state import registers
from harness.kvm.vcpu import Vcpu

_SHOWN = ("sstatus", "sie", "sip", "stvec", "sepc", "scause", "satp")


def standstill(vcpu: Vcpu) -> str:
    """Program counter, privilege, MP state, and the CSRs of interrupts and traps: one clause."""
    found = registers(vcpu)
    state = vcpu.mp_state()
    stopped = state == abi.constant("KVM_MP_STATE_STOPPED")
    shown = " ".join(f"{name} {found[name]:#x}" for name in _SHOWN)
    mode = "supervisor" if found["mode"] else "user"
    said = "STOPPED" if stopped else str(state)
    return f"pc {found['pc']:#x} in {mode} mode, MP state {said}, {shown}"
