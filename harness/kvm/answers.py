# SPDX-License-Identifier: GPL-2.0-only
"""What userspace answers to an exit that waits for it (api.rst, "The kvm_run structure").

Each function takes the exit that it answers and fills in kvm_run; the kernel takes the answer at
the next KVM_RUN. An answer that does not fit its exit is a mistake of the caller: ValueError.
"""

from __future__ import annotations

from typing import Any

from harness.kvm.exits import Exit, Hypercall, Io, Mmio, Rdmsr, Wrmsr
from harness.kvm.vcpu import Vcpu
from harness.native import ffi


def answer_io(vcpu: Vcpu, asked: Io, data: bytes) -> None:
    """The bytes that a port gives to an IN: `count` items of `size` bytes, in order."""
    if asked.is_write or len(data) != asked.size * asked.count:
        raise ValueError(f"{len(data)} bytes do not answer {asked}")
    run: Any = vcpu.run_page
    ffi.memmove(ffi.cast("uint8_t *", run) + run.io.data_offset, data, len(data))


def answer_mmio(vcpu: Vcpu, asked: Mmio, data: bytes) -> None:
    """The bytes that a device gives to a load, as they stand in memory."""
    if asked.is_write or len(data) != asked.length:
        raise ValueError(f"{len(data)} bytes do not answer {asked}")
    ffi.memmove(vcpu.run_page.mmio.data, data, len(data))


def answer_msr(vcpu: Vcpu, asked: Rdmsr | Wrmsr, value: int = 0) -> None:
    """The value that a read gives, or, for a write, that it is taken."""
    vcpu.run_page.msr.error = 0
    if isinstance(asked, Rdmsr):
        vcpu.run_page.msr.data = value


def refuse_msr(vcpu: Vcpu, asked: Exit) -> None:
    """The guest gets a #GP instead (api.rst, KVM_EXIT_X86_RDMSR: "error")."""
    if not isinstance(asked, (Rdmsr, Wrmsr)):
        raise ValueError(f"{asked} cannot be refused")
    vcpu.run_page.msr.error = 1


def answer_hypercall(vcpu: Vcpu, asked: Hypercall, value: int) -> None:
    """What the hypercall returns to the guest."""
    vcpu.run_page.hypercall.ret = value
