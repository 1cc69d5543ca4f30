# SPDX-License-Identifier: GPL-2.0-only
"""What a monitor wires to a VM: writes that signal an eventfd or are collected, and interrupts."""

from __future__ import annotations

from harness.kvm.vm import Vm
from harness.native import ffi


def collect_writes(vm: Vm, address: int, size: int) -> None:
    """KVM_REGISTER_COALESCED_MMIO (api.rst 4.116): such writes do not exit. Raises `KvmError`."""
    zone = ffi.new("struct kvm_coalesced_mmio_zone *", {"addr": address, "size": size})
    vm.ioctl("KVM_REGISTER_COALESCED_MMIO", zone)


def signal_writes(vm: Vm, address: int, eventfd: int) -> None:
    """KVM_IOEVENTFD (api.rst 4.59): a write of four bytes signals it. Raises `KvmError`."""
    request = ffi.new("struct kvm_ioeventfd *", {"addr": address, "len": 4, "fd": eventfd})
    vm.ioctl("KVM_IOEVENTFD", request)


def interrupt_by(vm: Vm, eventfd: int, line: int) -> None:
    """KVM_IRQFD (api.rst 4.75): the eventfd raises an interrupt line. Raises `KvmError`."""
    vm.ioctl("KVM_IRQFD", ffi.new("struct kvm_irqfd *", {"fd": eventfd, "gsi": line}))
