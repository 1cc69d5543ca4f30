# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: the two 8259A in the kernel (api.rst 4.25, 4.26).

What comes from them is an external interrupt (ExtINT): its vector is theirs and in no register of
the local APIC, which lets it through where its pin LINT0 says so.
"""

from __future__ import annotations

from typing import Any

from harness.kvm.arch.x86_64 import ioctls
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import ffi

_LINT0, _EXTERNAL = 0x350, 7 << 8  # of the local APIC's page; a delivery mode, not masked
_STATE = 8  # bytes of struct kvm_irqchip before the chip's own
_FIRST_LINE = 1 << 0


def let_through(vcpu: Vcpu) -> None:
    """The local APIC's LINT0 is for external interrupts. Raises `KvmError`."""
    ioctls.change_lapic(vcpu, {_LINT0: _EXTERNAL})


def raise_interrupt(vm: Vm, vector: int) -> None:
    """Line 0 of the first one is up: this vector, a multiple of 8, comes once. Raises `KvmError`.

    As restored (KVM_SET_IRQCHIP) by a monitor. The controller needs no EOI of the guest for it.
    """
    chip: Any = ffi.new("struct kvm_irqchip *")
    vm.ioctl("KVM_GET_IRQCHIP", chip)  # chip_id 0: the first
    pic = ffi.cast("struct kvm_pic_state *", ffi.cast("uint8_t *", chip) + _STATE)
    pic.irq_base, pic.auto_eoi = vector, 1
    pic.imr, pic.irr = 0xFF & ~_FIRST_LINE, _FIRST_LINE
    vm.ioctl("KVM_SET_IRQCHIP", chip)
