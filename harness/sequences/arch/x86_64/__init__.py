# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: the names of `harness.sequences.arch.interface`, which mypy holds this package to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.kvm.answers import answer_hypercall, answer_hyperv, answer_mmio, answer_xen
from harness.kvm.arch.x86_64 import devices, ioctls, moving
from harness.kvm.arch.x86_64 import kept as state_of
from harness.kvm.arch.x86_64.kept import kept as put_back
from harness.kvm.exits import (
    Hypercall,
    HypervHypercall,
    InternalError,
    Io,
    Mmio,
    Rdmsr,
    VcpuExit,
    Wrmsr,
    XenHypercall,
)
from harness.kvm.guest import Guest, create
from harness.kvm.system import System
from harness.kvm.vcpu import Vcpu
from harness.model.program import Step
from harness.model.x86_64 import MAY_LACK, MSR_PLACES, PROGRAM, STRING, trying
from harness.native import ffi
from harness.sequences.arch.x86_64.conditions import CONDITIONS
from harness.sequences.arch.x86_64.looks import clocked, looked, run_told
from harness.sequences.arch.x86_64.vm_features import FEATURES, MSR_EXITS, apply, before_the_vcpu

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

ABSENT: Sequence[str] = ()
REDELIVERS = True  # SVM's EXITINTINFO: see Deliveries
_CALLS: Mapping[type[Any], Callable[[Vcpu, Any, int], None]] = {
    Hypercall: answer_hypercall,
    HypervHypercall: answer_hyperv,
    XenHypercall: answer_xen,
}
_COMPLETED = ("rbx", "rcx", "rdx", "rsi", "rdi", "memory")
_FIRST_VECTOR = ("fpu xmm.0", "xsave xmm0")
# A #GP where it was refused, and a trap.
_RAISED = (
    *("events exception", "events exception_has_payload", "events exception_payload"),
    "debugregs dr6",
)
_XMM_AT = 160  # in an XSAVE area (Intel SDM volume 1, 13.4.1)
_DELIVERY = 3  # KVM_INTERNAL_ERROR_DELIVERY_EV
_NMIS = 4  # a data word of the program


def may_change(step: Step, *, raises: bool) -> Sequence[str]:
    """Registers that the steps use."""
    loaded = _FIRST_VECTOR if step.name == "wide_read" else ()
    return (*_COMPLETED, *loaded, *(_RAISED if raises else ()))


def exception_waits(guest: Guest) -> bool:
    """Pending, or injected already."""
    exception = ioctls.get_events(guest.vcpu).exception
    return bool(exception.pending or exception.injected)


def features(system: System) -> Sequence[str]:
    """All, but for an MSR that leaves to userspace where that cannot be."""
    return [each for each in FEATURES if each != MSR_EXITS or devices.filters_msrs(system)]


def new_guest(system: System, irqchip: str, having: tuple[str, ...]) -> Guest:
    """In 64-bit mode."""
    guest = create(system, irqchip, first=lambda vm: before_the_vcpu(vm, having))
    try:
        guest.load("script", "long", {0: int(irqchip != "none")})
        apply(guest, having)
        guest.ram.write(STRING, PROGRAM.first_state.string)
    except BaseException:
        guest.close()
        raise
    return guest


def left_out(step: str, error: InternalError) -> Sequence[str]:
    """The step; where the access fails, every exception, which an NMI is to EXITINTINFO as well.

    A host's interrupt between the two hides it, so one try speaks for all.
    """
    raising = (*MAY_LACK, *(name for name, kind in PROGRAM.steps.items() if kind.traps))
    return (*raising, "nmi", "refuse") if error.suberror == _DELIVERY else (step,)


def first_places(guest: Guest) -> Mapping[str, int]:
    """Of a guest that never ran; general registers are the program's to set."""
    vcpu, sregs = guest.vcpu, ioctls.get_sregs(guest.vcpu)
    debug, xsave = state_of.read(vcpu, "debugregs"), state_of.read(vcpu, "xsave")
    area = bytes(ffi.buffer(xsave.region))[_XMM_AT:]
    return {
        **{f"xmm{number}": _low_half(area[16 * number :]) for number in range(16)},
        **{f"dr{number}": int(debug.db[number]) for number in range(4)},
        **{name: ioctls.get_msr(vcpu, index) for name, index in MSR_PLACES.items()},
        "cr2": int(sregs.cr2),
    }


def _low_half(register: bytes) -> int:
    return int.from_bytes(register[:8], "little")


def counted(guest: Guest) -> Mapping[str, int]:
    """Interrupts and NMIs."""
    return {"interrupts": guest.ticks, "NMIs": guest.data(_NMIS)}


def injected(guest: Guest) -> Mapping[str, int | None]:
    """By KVM's statistics."""
    names = {"interrupts": "irq_injections", "NMIs": "nmi_injections"}
    return {kind: guest.statistic(name) for kind, name in names.items()}


def move(source: Guest, target: Guest) -> None:
    """The vCPU's state; of the VM's interrupt controller what is the vCPU's."""
    moving.move(source.vcpu, target.vcpu)


def serve(vcpu: Vcpu, found: VcpuExit, given: bytes | None, refuse: bool) -> bytes:
    """Ports, MMIO, hypercalls, and MSRs, which can be refused."""
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
    for kind, answer in _CALLS.items():
        if isinstance(found, kind) and given is not None:
            answer(vcpu, found, int.from_bytes(given[:8], "little"))
    return b""
