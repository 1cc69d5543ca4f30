# SPDX-License-Identifier: GPL-2.0-only
"""Guest memory that comes and goes while vCPUs run: KVM_SET_USER_MEMORY_REGION by itself.

The memory is the caller's, which outlives its slot: what a guest does to it then can be seen.
"""

from __future__ import annotations

import os

from harness.kvm import abi
from harness.kvm.memory import Memory
from harness.kvm.vm import Vm
from harness.native import ffi


def put(vm: Vm, slot: int, guest_address: int, memory: Memory, *, log_dirty: bool = False) -> None:
    """This memory at this guest address, in a slot that is empty. Raises `KvmError`."""
    region = ffi.new("struct kvm_userspace_memory_region *")
    region.slot, region.guest_phys_addr, region.memory_size = slot, guest_address, memory.size
    region.flags = abi.constant("KVM_MEM_LOG_DIRTY_PAGES") if log_dirty else 0
    region.userspace_addr = int(ffi.cast("uintptr_t", memory.address()))
    abi.ioctl(vm.fd, "KVM_SET_USER_MEMORY_REGION", region)


def remove(vm: Vm, slot: int) -> None:
    """Empties a slot (api.rst 4.35: a size of zero deletes it). Raises `KvmError`."""
    region = ffi.new("struct kvm_userspace_memory_region *")
    region.slot = slot
    abi.ioctl(vm.fd, "KVM_SET_USER_MEMORY_REGION", region)


def dirty_pages(vm: Vm, slot: int, memory: Memory) -> set[int]:
    """KVM_GET_DIRTY_LOG: pages of the slot stored to since the last call. Raises `KvmError`."""
    pages = memory.size // os.sysconf("SC_PAGESIZE")
    bitmap = ffi.new("uint64_t[]", (pages + 63) // 64)
    request = ffi.new("struct kvm_dirty_log *")
    request.slot, request.dirty_bitmap = slot, bitmap
    abi.ioctl(vm.fd, "KVM_GET_DIRTY_LOG", request)
    return {page for page in range(pages) if bitmap[page // 64] >> (page % 64) & 1}
