# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: what KVM_RUN leaves in kvm_run beside the exit, held against the vCPU's state.

post_kvm_run_save() writes these fields on each way out, from Linux 5.10 to 7.x and before. api.rst,
section 5, calls if_flag, cr8 and apic_base valid without a local APIC in the kernel only, but
monitors take them with one as well (QEMU: kvm_arch_post_run()).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from harness.kvm.abi import constant
from harness.kvm.arch.x86_64 import ioctls, readable
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import ffi

_POISON = 0x5A
RFLAGS_IF = 1 << 9
_APIC_ENABLED = 1 << 11  # of the APIC's base
_LINT0, _MASKED, _DELIVERY, _EXTINT = 0x350, 1 << 16, 7 << 8, 7 << 8


def poison(vcpu: Vcpu, vm: Vm) -> None:
    """Puts what no KVM says into each of the fields, so that one that is not written shows.

    But for cr8 without a local APIC in the kernel: KVM takes it from there ("both input and
    output"), so it gets another task priority than the vCPU has.
    """
    run = vcpu.run_page
    run.if_flag = run.ready_for_interrupt_injection = _POISON
    run.flags = _POISON << 8 | _POISON
    run.apic_base = int.from_bytes(bytes([_POISON] * 8), "little")
    if vm.irqchip == "none":
        run.cr8 = (int(ioctls.get_sregs(vcpu).cr8) + 5) % 16
    else:
        run.cr8 = run.apic_base


class Contradiction(NamedTuple):
    """A field that is not what the state says, by this source."""

    field: str
    found: int
    wanted: int
    source: str

    def __str__(self) -> str:
        """A clause."""
        return f"{self.field} is {self.found:#x} where {self.source} gives {self.wanted:#x}"


def contradictions(vcpu: Vcpu, vm: Vm) -> list[Contradiction]:
    """Each field that is not what the state says; empty: none. Raises `KvmError`."""
    run, sregs, events = vcpu.run_page, ioctls.get_sregs(vcpu), ioctls.get_events(vcpu)
    nested = _runs_a_guest(vcpu, vm)
    interrupts_on = takes_interrupts(vcpu)
    wanted = {
        "if_flag": (int(interrupts_on), "RFLAGS.IF"),
        "cr8": (int(sregs.cr8), "CR8"),
        "apic_base": (int(sregs.apic_base), "the APIC's base"),
        "flags": (_flags(vm, events, nested), "SMM and guest mode"),
    }
    if vm.irqchip == "full":
        wanted["ready_for_interrupt_injection"] = 1, "the controller in the kernel"
    elif not (nested or ioctls.triple_fault_pending(events)):
        # With a nested guest it hangs on what its hypervisor intercepts, with a triple fault on the
        # kernel: that is an exception that waits from commit 7709aba8f716 (6.1) on.
        ready = interrupts_on and at_boundary(events) and _takes_from_userspace(vcpu, vm, sregs)
        wanted["ready_for_interrupt_injection"] = int(ready), "the guest's readiness"
    return [
        Contradiction(name, int(getattr(run, name)), value, source)
        for name, (value, source) in wanted.items()
        if getattr(run, name) != value
    ]


def _flags(vm: Vm, events: Any, nested: bool) -> int:
    """KVM_RUN_X86_GUEST_MODE came with its capability, commit 85542adb65ec of 6.11."""
    found = constant("KVM_RUN_X86_SMM") if events.smi.smm else 0
    if nested and vm.check_extension("KVM_CAP_X86_GUEST_MODE"):
        found |= constant("KVM_RUN_X86_GUEST_MODE")
    return found


def _runs_a_guest(vcpu: Vcpu, vm: Vm) -> bool:
    if not vm.check_extension("KVM_CAP_NESTED_STATE"):
        return False
    room = ffi.new("uint64_t[]", readable.LARGEST_NESTED // 8)
    state = ffi.cast("struct kvm_nested_state *", room)
    state.size = readable.LARGEST_NESTED
    vcpu.ioctl("KVM_GET_NESTED_STATE", state)
    return bool(state.flags & constant("KVM_STATE_NESTED_GUEST_MODE"))


def takes_interrupts(vcpu: Vcpu) -> bool:
    """RFLAGS.IF. Raises `KvmError`."""
    return bool(ioctls.get_regs(vcpu).rflags & RFLAGS_IF)


def at_boundary(events: Any) -> bool:
    """At an instruction's boundary, nothing half injected (commit fa7a549d321a of 5.14)."""
    exception, interrupt = events.exception, events.interrupt
    return not (
        (interrupt.shadow or interrupt.injected or events.nmi.injected)
        or (exception.injected or exception.pending)
    )


def _takes_from_userspace(vcpu: Vcpu, vm: Vm, sregs: Any) -> bool:
    """kvm_apic_accept_pic_intr(): a local APIC takes it by LINT0, or not at all."""
    if vm.irqchip == "none" or not sregs.apic_base & _APIC_ENABLED:
        return True
    page = bytes(ffi.buffer(ioctls.get_lapic(vcpu)))
    lint0 = int.from_bytes(page[_LINT0 : _LINT0 + 4], "little")
    return not lint0 & _MASKED and lint0 & _DELIVERY == _EXTINT
