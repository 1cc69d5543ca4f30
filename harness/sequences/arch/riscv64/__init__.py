# SPDX-License-Identifier: GPL-2.0-only
"""riscv64: the names of `harness.sequences.arch.interface`, which mypy holds this package to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.kvm.arch.riscv64 import devices, moving
from harness.kvm.arch.riscv64.moving import put_back
from harness.kvm.exits import RiscvSbi, VcpuExit
from harness.kvm.guest import Guest, create
from harness.kvm.system import System
from harness.kvm.vcpu import Vcpu
from harness.model import riscv64 as model
from harness.model.program import MASK, Step
from harness.sequences.looks import clocked, looked, run_told
from harness.sequences.plain import (
    ABSENT,
    CONDITIONS,
    FEATURES,
    MAY_LACK,
    REDELIVERS,
    counted,
    exception_waits,
    features,
    first_places,
    injected,
    left_out,
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

# To a load that is to keep its sign KVM gives zeros above what userspace answered, by plain runs as
# well: kvm_riscv_vcpu_mmio_return() shifts an unsigned long (5.16; 6.12 has it still).
PROGRAM = replace(model.PROGRAM, left_out=frozenset({"mmio_read_signed"}))


def new_guest(system: System, irqchip: str, having: tuple[str, ...]) -> Guest:
    """In supervisor mode, with Sv39."""
    guest = create(system, irqchip)
    try:
        guest.load("script", "paged")
    except BaseException:
        guest.close()
        raise
    return guest


def may_change(step: Step, *, raises: bool) -> Sequence[str]:
    """The second register of what a call of the SBI is told."""
    return ("a1",) if step.name == "call" else ()


def serve(vcpu: Vcpu, found: VcpuExit, given: bytes | None, refuse: bool) -> bytes:
    """MMIO, and the call, which is told a value, and the same with each bit turned."""
    if isinstance(found, RiscvSbi) and given is not None:
        value = int.from_bytes(given[:8], "little")
        devices.answer_sbi(vcpu, found, value, value ^ MASK)
        return given[:8]
    return serve_mmio(vcpu, found, given) or b""


def move(source: Guest, target: Guest) -> None:
    """With the IMSIC."""
    moving.move(source.vcpu, source.vm, target.vcpu, target.vm)
