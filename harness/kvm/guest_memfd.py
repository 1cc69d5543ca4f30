# SPDX-License-Identifier: GPL-2.0-only
"""Guest memory of a file of KVM's own: guest_memfd (api.rst, KVM_CREATE_GUEST_MEMFD).

The guest's faults are served from the file, not through this process's mappings. A file that is
closed serves none any more, for the memory slot does not keep it (virt/kvm/guest_memfd.c,
kvm_gmem_release()).
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass

from harness.closing import Closing
from harness.kvm.abi import constant
from harness.kvm.memory import Memory
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import ffi, lib

_PRIVATE = constant("KVM_MEMORY_ATTRIBUTE_PRIVATE")
_SHARED = constant("GUEST_MEMFD_FLAG_MMAP") | constant("GUEST_MEMFD_FLAG_INIT_SHARED")


@dataclass(frozen=True)
class MemoryFault:
    """KVM_EXIT_MEMORY_FAULT, which comes with -1: EFAULT or EHWPOISON. Bytes."""

    flags: int
    address: int
    size: int


def memory_fault(vcpu: Vcpu) -> MemoryFault:
    """What kvm_run says of it; only after a KVM_RUN that ended so."""
    found = lib.ke_memory_fault(vcpu.run_page)
    return MemoryFault(found.flags, found.gpa, found.size)


def is_offered(vm: Vm, private: bool) -> bool:
    """Whether this VM has such files, for memory of this kind: see `GuestMemfd`."""
    if not vm.check_extension("KVM_CAP_GUEST_MEMFD"):
        return False
    if private:
        return bool(vm.check_extension("KVM_CAP_MEMORY_ATTRIBUTES") & _PRIVATE)
    return vm.check_extension("KVM_CAP_GUEST_MEMFD_FLAGS") & _SHARED == _SHARED


class GuestMemfd(Closing):
    """A context manager: `size` bytes of guest memory in a slot, at a guest's address.

    `private`: this process cannot map it, and the VM is of a type that has such memory (6.8).
    Else it can, and is where it is read by KVM itself (6.18). Raises `KvmError`. To close it
    leaves the slot without memory; `Vm.delete_memory()` knows nothing of the slot.
    """

    def __init__(self, vm: Vm, slot: int, guest_address: int, size: int, *, private: bool) -> None:
        self._vm, self._slot = vm, slot
        asked = ffi.new("struct kvm_create_guest_memfd *")
        asked.size, asked.flags = size, 0 if private else _SHARED
        self.fd = vm.ioctl("KVM_CREATE_GUEST_MEMFD", asked)
        os.set_inheritable(self.fd, False)
        try:
            # A private page has a shared one beside it, which the guest never sees here.
            self._memory = Memory(size, None if private else mmap.mmap(self.fd, size))
        except BaseException:
            os.close(self.fd)
            raise
        try:
            if private:
                self._make_private(guest_address, size)
            self._bind(guest_address, size)
        except BaseException:
            self.close()
            raise

    def _make_private(self, guest_address: int, size: int) -> None:
        attributes = ffi.new("struct kvm_memory_attributes *")
        attributes.address, attributes.size = guest_address, size
        attributes.attributes = _PRIVATE
        self._vm.ioctl("KVM_SET_MEMORY_ATTRIBUTES", attributes)

    def _bind(self, guest_address: int, size: int) -> None:
        region = ffi.new("struct kvm_userspace_memory_region2 *")
        region.slot, region.flags = self._slot, constant("KVM_MEM_GUEST_MEMFD")
        region.guest_phys_addr, region.memory_size = guest_address, size
        region.userspace_addr = int(ffi.cast("uintptr_t", self._memory.address()))
        region.guest_memfd = self.fd
        self._vm.ioctl("KVM_SET_USER_MEMORY_REGION2", region)

    def delete(self) -> None:
        """The guest has the slot no more. Raises `KvmError`."""
        region = ffi.new("struct kvm_userspace_memory_region2 *")
        region.slot = self._slot
        self._vm.ioctl("KVM_SET_USER_MEMORY_REGION2", region)

    def close(self) -> None:
        """Lets the file go, and with it the memory; a second call does nothing."""
        if self.fd >= 0:
            self._memory.close()
            os.close(self.fd)
            self.fd = -1
