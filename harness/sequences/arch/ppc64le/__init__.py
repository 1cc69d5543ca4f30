# SPDX-License-Identifier: GPL-2.0-only
"""ppc64le: the names of `harness.sequences.arch.interface`, which mypy holds this package to."""

from __future__ import annotations

from collections.abc import Sequence

from harness.kvm.arch.ppc64le import devices, moving
from harness.kvm.arch.ppc64le.moving import put_back
from harness.kvm.exits import PaprHcall, VcpuExit
from harness.kvm.guest import Guest, create
from harness.kvm.system import System
from harness.kvm.vcpu import Vcpu
from harness.model.ppc64le import PROGRAM
from harness.model.program import MASK, Step
from harness.sequences import plain
from harness.sequences.looks import clocked, looked, run_told
from harness.sequences.plain import (
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

#: Nor is there an interrupt that ends when the guest has taken it.
ABSENT: Sequence[str] = (*plain.ABSENT, "interrupt", "take_events")


def new_guest(system: System, irqchip: str, having: tuple[str, ...]) -> Guest:
    """With a radix tree of its own."""
    guest = create(system, irqchip)
    try:
        guest.load("script", "translated")
    except BaseException:
        guest.close()
        raise
    return guest


def may_change(step: Step, *, raises: bool) -> Sequence[str]:
    """The second register of what a hypercall is told."""
    return ("r4",) if step.name == "call" else ()


def serve(vcpu: Vcpu, found: VcpuExit, given: bytes | None, refuse: bool) -> bytes:
    """MMIO, and the call, which is told a value, and the same with each bit turned."""
    if isinstance(found, PaprHcall) and given is not None:
        value = int.from_bytes(given[:8], "little")
        devices.answer_hcall(vcpu, found, value, value ^ MASK)
        return given[:8]
    return serve_mmio(vcpu, found, given) or b""


def move(source: Guest, target: Guest) -> None:
    """All of it is the vCPU's."""
    moving.move(source.vcpu, target.vcpu)
