# SPDX-License-Identifier: GPL-2.0-only
"""Attributes of what a descriptor stands for: a device, a VM or a vCPU (api.rst 4.80).

Group and attribute are the kind's own: Documentation/virt/kvm/devices/.
"""

from __future__ import annotations

from harness.kvm import abi
from harness.native import ffi

_TYPES = {4: "uint32_t *", 8: "uint64_t *"}


def get(fd: int, group: int, attribute: int, size: int = 8) -> int:
    """KVM_GET_DEVICE_ATTR of a number of so many bytes. Raises `KvmError`."""
    value = ffi.new(_TYPES[size])
    _ask(fd, "KVM_GET_DEVICE_ATTR", group, attribute, value)
    return int(value[0])


def set_to(fd: int, group: int, attribute: int, value: int, size: int = 8) -> None:
    """KVM_SET_DEVICE_ATTR to a number of so many bytes. Raises `KvmError`."""
    _ask(fd, "KVM_SET_DEVICE_ATTR", group, attribute, ffi.new(_TYPES[size], value))


def command(fd: int, group: int, attribute: int) -> None:
    """KVM_SET_DEVICE_ATTR of what takes no value, but does something. Raises `KvmError`."""
    _ask(fd, "KVM_SET_DEVICE_ATTR", group, attribute, ffi.NULL)


def _ask(fd: int, name: str, group: int, attribute: int, value: object) -> None:
    request = ffi.new("struct kvm_device_attr *", {"group": group, "attr": attribute})
    request.addr = int(ffi.cast("uintptr_t", value))
    abi.ioctl(fd, name, request)
