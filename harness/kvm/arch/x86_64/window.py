# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: the interrupt window: userspace holds an interrupt until the guest can take it.

api.rst section 5: request_interrupt_window is "useful in conjunction with KVM_INTERRUPT". KVM looks
at it unless it keeps the PIC itself (dm_request_for_irq_injection()).
"""

from __future__ import annotations

from harness.kvm.arch.x86_64.ioctls import get_regs, set_regs
from harness.kvm.vcpu import Vcpu

#: The interrupt controllers with which userspace injects by KVM_INTERRUPT (api.rst 4.15).
IRQCHIPS = ("none", "split")

_RFLAGS_IF = 1 << 9
_NEVER_SAID = 0x5A  # a value of the fields that no KVM writes


def request(vcpu: Vcpu, wanted: bool) -> None:
    """kvm_run->request_interrupt_window."""
    vcpu.run_page.request_interrupt_window = int(wanted)


def requested(vcpu: Vcpu) -> int:
    """The same, read."""
    return int(vcpu.run_page.request_interrupt_window)


def forget(vcpu: Vcpu) -> None:
    """Rubbish in what KVM says of the window, so that the next run has to say it anew."""
    vcpu.run_page.ready_for_interrupt_injection = _NEVER_SAID
    vcpu.run_page.if_flag = _NEVER_SAID


def ready(vcpu: Vcpu) -> int:
    """kvm_run->ready_for_interrupt_injection, of the last run."""
    return int(vcpu.run_page.ready_for_interrupt_injection)


def interrupts_on(vcpu: Vcpu) -> bool:
    """Whether the guest's IF is set. Raises `KvmError`."""
    return bool(get_regs(vcpu).rflags & _RFLAGS_IF)


def turn_interrupts(vcpu: Vcpu, on: bool) -> None:
    """Sets or clears the guest's IF. Raises `KvmError`."""
    regs = get_regs(vcpu)
    regs.rflags = regs.rflags & ~_RFLAGS_IF | (_RFLAGS_IF if on else 0)
    set_regs(vcpu, regs)
