# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: MP states that userspace sets, and events that wait in them (api.rst 4.39)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from harness.kvm.abi import constant
from harness.kvm.arch.x86_64 import ioctls
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import lib

#: With a local APIC in the kernel. KVM_SET_MP_STATE takes SIPI_RECEIVED as INIT_RECEIVED and a SIPI
#: that waits (commit 66450a21f996), and KVM_GET_MP_STATE accepts it: it never reads as set.
STATES: tuple[str, ...] = (
    *("runnable", "uninitialized", "init_received", "halted", "sipi_received", "ap_reset_hold"),
)
#: Without one KVM takes this state only (kvm_arch_vcpu_ioctl_set_mpstate()).
WITHOUT_APIC = ("runnable",)

_INVALID_OPCODE = 6  # an exception without an error code
_MSI_SIPI = 0x4600  # delivery mode start-up (6 << 8), level assert (bit 14)

Raise = Callable[[Vcpu, Vm], None]


def number(state: str) -> int:
    """The KVM_MP_STATE_ of a word of `STATES`."""
    return constant(f"KVM_MP_STATE_{state.upper()}")


def name(found: int) -> str:
    """The word for it."""
    return next((word for word in STATES if number(word) == found), str(found))


def send_sipi(vm: Vm, apic_id: int, page: int) -> None:
    """A SIPI to a processor, as an MSI: it is to start at this page. Raises `KvmError`."""
    vm.signal_msi(ioctls.X2APIC_MSI_ADDRESS | apic_id << 12, _MSI_SIPI | page)


def set_sipi_page(vcpu: Vcpu, page: int) -> None:
    """events.sipi_vector: where SIPI_RECEIVED starts the processor. Raises `KvmError`."""
    events = ioctls.get_events(vcpu)
    events.sipi_vector = page
    events.flags |= lib.KVM_VCPUEVENT_VALID_SIPI_VECTOR
    ioctls.set_events(vcpu, events)


# ---- events that wait, raised by userspace


def _interrupt(_vcpu: Vcpu, vm: Vm) -> None:
    vm.signal_msi(ioctls.X2APIC_MSI_ADDRESS, ioctls.INTERRUPT_VECTOR)


def _injected_interrupt(vcpu: Vcpu, _vm: Vm) -> None:
    events: Any = ioctls.get_events(vcpu)
    events.interrupt.injected, events.interrupt.nr = 1, ioctls.INTERRUPT_VECTOR
    ioctls.set_events(vcpu, events)


def _injected_exception(vcpu: Vcpu, _vm: Vm) -> None:
    events: Any = ioctls.get_events(vcpu)
    events.exception.injected, events.exception.nr = 1, _INVALID_OPCODE
    ioctls.set_events(vcpu, events)


def _pending_exception(vcpu: Vcpu, _vm: Vm) -> None:
    ioctls.set_pending_exception(vcpu, ioctls.get_events(vcpu), _INVALID_OPCODE)


def raisers(vm: Vm) -> Mapping[str, Raise]:
    """What can be made to wait for a vCPU of this VM, by name; what its KVM lacks is left out."""
    found: dict[str, Raise] = {
        "no event": lambda vcpu, vm: None,
        "an NMI": lambda vcpu, vm: ioctls.nmi(vcpu),
        "an injected interrupt": _injected_interrupt,
        "an injected exception": _injected_exception,
    }
    if vm.irqchip != "none":
        found["an interrupt"] = _interrupt
    if vm.check_extension("KVM_CAP_X86_SMM"):
        found["an SMI"] = lambda vcpu, vm: ioctls.smi(vcpu)
    if ioctls.enable_exception_payload(vm):
        found["a pending exception"] = _pending_exception
    return found


def quieten(vcpu: Vcpu, vm: Vm, events: Any, lapic: Any) -> None:
    """Runnable again, with the events and the local APIC (or None) of before. `KvmError`."""
    vcpu.set_mp_state(number("runnable"))
    ioctls.set_events(vcpu, events)
    if lapic is not None:
        ioctls.set_lapic(vcpu, lapic)
