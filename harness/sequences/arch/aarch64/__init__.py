# SPDX-License-Identifier: GPL-2.0-only
"""arm64: the names of `harness.sequences.arch.interface`, which mypy holds this package to."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import replace

from harness.host import pace
from harness.kvm.abi import LackingError
from harness.kvm.arch.aarch64 import gic, ioctls, moving, state
from harness.kvm.arch.aarch64.moving import put_back
from harness.kvm.exits import Hypercall, VcpuExit
from harness.kvm.guest import Guest, create
from harness.kvm.system import System
from harness.kvm.vcpu import Vcpu
from harness.model import aarch64 as model
from harness.model.aarch64 import CALL_EXITS
from harness.sequences.looks import clocked, looked, run_told
from harness.sequences.plain import (
    ABSENT,
    CONDITIONS,
    MAY_LACK,
    REDELIVERS,
    counted,
    exception_waits,
    first_places,
    injected,
    left_out,
    may_change,
    serve_mmio,
    trying,
)

__all__ = [
    "ABSENT",
    "CONDITIONS",
    "FEATURES",
    "MAY_LACK",
    "PROGRAM",
    "REDELIVERS",
    "clocked",
    "counted",
    "exception_waits",
    "features",
    "first_places",
    "injected",
    "left_out",
    "looked",
    "may_change",
    "move",
    "new_guest",
    "put_back",
    "run_told",
    "serve",
    "trying",
]

# By the syndrome's SSE KVM extends what was read, and QEMU 7.2 puts that bit elsewhere.
_EXTENDED = ("mmio_read_signed", "mmio_read_half")
PROGRAM = replace(model.PROGRAM, left_out=frozenset(_EXTENDED if pace.here().takes_turns else ()))
FEATURES: tuple[str, ...] = (CALL_EXITS,)


def features(system: System) -> Sequence[str]:
    """All, but for calls where KVM forwards none (before Linux 6.4)."""
    with system.create_vm() as vm:
        return FEATURES if ioctls.forward_calls(vm, model.CALL, 1) else ()


def new_guest(system: System, irqchip: str, having: tuple[str, ...]) -> Guest:
    """At EL1, with its MMU on."""
    guest = create(system, irqchip)
    try:
        if CALL_EXITS in having and not ioctls.forward_calls(guest.vm, model.CALL, 1):
            raise LackingError("KVM_ARM_VM_SMCCC_FILTER", errno.EOPNOTSUPP)
        guest.load("script", "paged", {0: int(irqchip != "none") * gic.INTERRUPT})
    except BaseException:
        guest.close()
        raise
    return guest


def serve(vcpu: Vcpu, found: VcpuExit, given: bytes | None, refuse: bool) -> bytes:
    """MMIO, and the call, whose result is in X0."""
    if isinstance(found, Hypercall) and given is not None:
        state.set_accumulator(vcpu, int.from_bytes(given[:8], "little"))
        return given[:8]
    return serve_mmio(vcpu, found, given) or b""


def move(source: Guest, target: Guest) -> None:
    """With the GIC."""
    moving.move(source.vcpu, source.vm, target.vcpu, target.vm)
