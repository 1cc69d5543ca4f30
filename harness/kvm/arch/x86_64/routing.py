# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: where the pins of interrupt controllers lead (api.rst 4.52, KVM_SET_GSI_ROUTING)."""

from __future__ import annotations

from harness.kvm.abi import constant
from harness.kvm.arch.x86_64.ioctls import X2APIC_MSI_ADDRESS
from harness.kvm.vm import Vm
from harness.native import ffi

_LEVEL = 1 << 15  # of an MSI's data


def route_level_interrupt(vm: Vm, pin: int, vector: int) -> None:
    """KVM_SET_GSI_ROUTING: this pin sends this vector to APIC id 0, and is told of its end.

    With the split controller the guest's EOI then ends KVM_RUN with KVM_EXIT_IOAPIC_EOI. Raises
    `KvmError`.
    """
    _route(vm, pin, _LEVEL | vector)


def route_interrupt(vm: Vm, pin: int, vector: int) -> None:
    """The same, edge-triggered: nobody is told of its end. Raises `KvmError`."""
    _route(vm, pin, vector)


def route_nothing(vm: Vm) -> None:
    """No pin leads anywhere. Raises `KvmError`."""
    vm.ioctl("KVM_SET_GSI_ROUTING", ffi.new("struct kvm_irq_routing *", {"entries": 0}))


def _route(vm: Vm, pin: int, message: int) -> None:
    table = ffi.new("struct kvm_irq_routing *", {"entries": 1})
    table.nr = 1
    entry = table.entries[0]
    entry.gsi, entry.type = pin, constant("KVM_IRQ_ROUTING_MSI")
    entry.u.msi.address_lo, entry.u.msi.data = X2APIC_MSI_ADDRESS, message
    vm.ioctl("KVM_SET_GSI_ROUTING", table)
