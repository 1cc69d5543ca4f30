# SPDX-License-Identifier: GPL-2.0-only
"""Registers by number (KVM_GET_ONE_REG, api.rst 4.68), where an architecture has them.

A number carries the register's size. Values are numbers in the host's byte order.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from harness.kvm import abi
from harness.kvm.abi import KvmError
from harness.kvm.vcpu import Vcpu
from harness.native import ffi, lib


def size(number: int) -> int:
    """Bytes of a register."""
    return 1 << ((number & int(lib.KVM_REG_SIZE_MASK)) >> int(lib.KVM_REG_SIZE_SHIFT))


def get_register(vcpu: Vcpu, number: int) -> int:
    """KVM_GET_ONE_REG. Raises `KvmError`."""
    value = ffi.new("uint8_t[]", size(number))
    request = _request(number, value)
    vcpu.ioctl("KVM_GET_ONE_REG", request)
    return int.from_bytes(ffi.buffer(value), sys.byteorder)


def set_register(vcpu: Vcpu, number: int, value: int) -> None:
    """KVM_SET_ONE_REG. Raises `KvmError`."""
    room = ffi.from_buffer("uint8_t[]", bytearray(value.to_bytes(size(number), sys.byteorder)))
    request = _request(number, room)
    vcpu.ioctl("KVM_SET_ONE_REG", request)


def _request(number: int, value: Any) -> Any:
    address = int(ffi.cast("uintptr_t", value))
    return ffi.new("struct kvm_one_reg *", {"id": number, "addr": address})


def get_registers(
    vcpu: Vcpu, numbers: Sequence[int], *, may_lack: bool = False
) -> Mapping[int, int]:
    """Their values by number, in one call. Raises `KvmError`.

    `may_lack`: those that this vCPU has not (ENOENT, EINVAL) are left out.
    """
    found: dict[int, int] = {}
    error = ffi.new("int *")
    left = list(numbers)
    while left:
        room = max(map(size, left))
        values = ffi.new("uint8_t[]", room * len(left))
        asked = ffi.new("uint64_t[]", left)
        count = int(lib.ke_get_registers(vcpu.fd, asked, len(left), values, room, error))
        view = bytes(ffi.buffer(values))
        for place, number in enumerate(left[:count]):
            raw = view[room * place : room * place + size(number)]
            found[number] = int.from_bytes(raw, sys.byteorder)
        if count == len(left):
            break
        if not may_lack or error[0] not in (errno.ENOENT, errno.EINVAL):
            raise KvmError(f"KVM_GET_ONE_REG of {left[count]:#x}", int(error[0]))
        left = left[count + 1 :]
    return found


def register_list(vcpu: Vcpu) -> list[int]:
    """KVM_GET_REG_LIST: the numbers of all that the vCPU has. Raises `KvmError`."""
    asked = ffi.new("struct kvm_reg_list *", {"reg": 0})
    if abi.ioctl_raw(vcpu.fd, "KVM_GET_REG_LIST", asked) not in (0, -errno.E2BIG):
        raise KvmError("KVM_GET_REG_LIST", errno.EINVAL)
    found = ffi.new("struct kvm_reg_list *", {"reg": int(asked.n)})
    found.n = asked.n
    vcpu.ioctl("KVM_GET_REG_LIST", found)
    return [int(found.reg[place]) for place in range(int(found.n))]
