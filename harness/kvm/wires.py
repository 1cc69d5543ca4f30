# SPDX-License-Identifier: GPL-2.0-only
"""What a monitor wires to a VM: writes that signal or are collected, interrupts, devices.

Each function raises `KvmError`.
"""

from __future__ import annotations

import errno
import struct
from contextlib import closing

from harness.kvm import abi
from harness.kvm.memory import PAGE_BYTES
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import ffi

# struct kvm_coalesced_mmio_ring: first, last, entries; and of an entry address, length, data.
_RING, _WRITE = struct.Struct("=II"), struct.Struct("=QI4x8s")


def collect_writes(vm: Vm, address: int, size: int) -> None:
    """KVM_REGISTER_COALESCED_MMIO (api.rst 4.116): such writes do not exit."""
    zone = ffi.new("struct kvm_coalesced_mmio_zone *", {"addr": address, "size": size})
    vm.ioctl("KVM_REGISTER_COALESCED_MMIO", zone)


def collected_writes(vm: Vm, vcpu: Vcpu) -> list[tuple[int, bytes]]:
    """What userspace has yet to take from the ring of such writes: address and data of each."""
    page = vm.check_extension("KVM_CAP_COALESCED_MMIO")  # where in the vCPU's mapping it is
    with closing(vcpu.map_again()) as mapping:
        ring = mapping[page * PAGE_BYTES : (page + 1) * PAGE_BYTES]
    first, last = _RING.unpack_from(ring)
    entries = [ring[at:][: _WRITE.size] for at in range(_RING.size, PAGE_BYTES, _WRITE.size)]
    most = (PAGE_BYTES - _RING.size) // _WRITE.size
    found = []
    while first != last and first < most:
        address, length, data = _WRITE.unpack(entries[first])
        found.append((address, data[:length]))
        first = (first + 1) % most
    return found


def signal_writes(vm: Vm, address: int, eventfd: int, size: int = 4) -> None:
    """KVM_IOEVENTFD (api.rst 4.59): a write of so many bytes signals it."""
    request = ffi.new("struct kvm_ioeventfd *", {"addr": address, "len": size, "fd": eventfd})
    vm.ioctl("KVM_IOEVENTFD", request)


def interrupt_by(vm: Vm, eventfd: int, line: int) -> None:
    """KVM_IRQFD (api.rst 4.75): the eventfd raises an interrupt line."""
    vm.ioctl("KVM_IRQFD", ffi.new("struct kvm_irqfd *", {"fd": eventfd, "gsi": line}))


def assigned_devices(vm: Vm) -> int:
    """KVM_CREATE_DEVICE of KVM_DEV_TYPE_VFIO: a descriptor, which the caller closes.

    `LackingError` where this kernel has no such device. The call is asked, not the capability:
    older kernels (6.1 was seen) have the call and do not tell of KVM_CAP_DEVICE_CTRL.
    """
    request = ffi.new("struct kvm_create_device *")
    request.type = abi.constant("KVM_DEV_TYPE_VFIO")
    value = abi.ioctl_raw(vm.fd, "KVM_CREATE_DEVICE", request)
    # api.rst 4.79: ENODEV, the device's type is unknown; and ENOTTY, the call is.
    if value in (-errno.ENODEV, -errno.ENOTTY):
        raise abi.LackingError("KVM_DEV_TYPE_VFIO", -value)
    if value < 0:
        raise abi.KvmError("KVM_CREATE_DEVICE", -value)
    return int(request.fd)
