# SPDX-License-Identifier: GPL-2.0-only
"""What userspace answers to an exit that waits for it (api.rst, "The kvm_run structure").

Each function takes the exit that it answers and fills in kvm_run; the kernel takes the answer at
the next KVM_RUN. An answer that does not fit its exit is a mistake of the caller: ValueError.
"""

from __future__ import annotations

from harness.kvm.exits import Hypercall, HypervHypercall, Mmio, XenHypercall
from harness.kvm.vcpu import Vcpu
from harness.native import ffi, lib


def answer_mmio(vcpu: Vcpu, asked: Mmio, data: bytes) -> None:
    """The bytes that a device gives to a load, as they stand in memory."""
    if asked.is_write or len(data) != asked.length:
        raise ValueError(f"{len(data)} bytes do not answer {asked}")
    ffi.memmove(vcpu.run_page.mmio.data, data, len(data))


def answer_hypercall(vcpu: Vcpu, asked: Hypercall, value: int) -> None:
    """What the hypercall returns to the guest."""
    vcpu.run_page.hypercall.ret = value


def answer_xen(vcpu: Vcpu, asked: XenHypercall, value: int) -> None:
    """What a hypercall of Xen's returns to the guest."""
    lib.ke_xen(vcpu.run_page).u.hcall.result = value


def answer_hyperv(vcpu: Vcpu, asked: HypervHypercall, value: int) -> None:
    """What a hypercall of Hyper-V's returns to the guest."""
    lib.ke_hyperv(vcpu.run_page).u.hcall.result = value
