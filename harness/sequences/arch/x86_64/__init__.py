# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: the names of `harness.sequences.arch.interface`, which mypy holds this package to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.kvm.answers import answer_mmio
from harness.kvm.arch.x86_64 import devices
from harness.kvm.arch.x86_64.moving import move
from harness.kvm.exits import Io, Mmio, Rdmsr, VcpuExit, Wrmsr
from harness.kvm.guest import Guest, create
from harness.kvm.system import System
from harness.kvm.vcpu import Vcpu
from harness.model.x86_64 import (
    LOG,
    MAY_LACK,
    SCRIPT,
    STEP_BYTES,
    STEPS,
    STRING,
    encode,
    entry,
    first_state,
    kept,
    stores,
)
from harness.sequences.arch.x86_64.vm_features import FEATURES, MSR_EXITS, apply

__all__ = [
    "COMPLETED",
    "FEATURES",
    "LOG",
    "MAY_LACK",
    "REFUSED",
    "SCRIPT",
    "STEPS",
    "STEP_BYTES",
    "counted",
    "encode",
    "entry",
    "features",
    "first_state",
    "kept",
    "move",
    "new_guest",
    "serve",
    "stores",
]

COMPLETED: Sequence[str] = ("rbx", "rcx", "rdx", "rsi", "rdi", "memory")
REFUSED: Sequence[str] = ("events exception",)  # the guest gets a #GP
_NMIS = 4  # a data word of the program


def features(system: System) -> Sequence[str]:
    """All, but for an MSR that leaves to userspace where that cannot be."""
    return [each for each in FEATURES if each != MSR_EXITS or devices.filters_msrs(system)]


def new_guest(system: System, irqchip: str, having: tuple[str, ...]) -> Guest:
    """In 64-bit mode."""
    guest = create(system, irqchip)
    try:
        guest.load("script", "long", {0: int(irqchip != "none")})
        apply(guest, having)
        guest.ram.write(STRING, first_state().string)
    except BaseException:
        guest.close()
        raise
    return guest


def counted(guest: Guest) -> Mapping[str, int]:
    """Interrupts and NMIs."""
    return {"interrupts": guest.ticks, "NMIs": guest.data(_NMIS)}


def serve(vcpu: Vcpu, found: VcpuExit, given: bytes | None, refuse: bool) -> bytes:
    """Ports, MMIO and MSRs, which can be refused."""
    if isinstance(found, Io):
        if given is None:
            return found.data
        data = given[: found.size * found.count]
        devices.answer_io(vcpu, found, data)
        return data
    if isinstance(found, Mmio):
        if given is None:
            return found.data
        answer_mmio(vcpu, found, given[: found.length])
        return given[: found.length]
    if isinstance(found, (Rdmsr, Wrmsr)):
        if refuse:
            devices.refuse_msr(vcpu, found)
            return b""
        data = (given or bytes(8))[:8]
        devices.answer_msr(vcpu, found, int.from_bytes(data, "little"))
        return data
    return b""
