# SPDX-License-Identifier: GPL-2.0-only
"""ppc64le: why a vCPU stands still, for a bug report."""

from __future__ import annotations

from harness.kvm.arch.ppc64le.state import registers
from harness.kvm.vcpu import Vcpu

_SHOWN = ("msr", "srr0", "srr1", "lr", "ctr")


def standstill(vcpu: Vcpu) -> str:
    """Program counter, machine state, and where an interrupt came from: one clause."""
    found = registers(vcpu)
    shown = " ".join(f"{name} {found[name]:#x}" for name in _SHOWN)
    return f"nip {found['pc']:#x}, {shown}"
