# SPDX-License-Identifier: GPL-2.0-only
"""A virtual machine."""

from __future__ import annotations

import errno
import mmap
import os
from typing import Any

from harness.closing import Closing
from harness.kvm import abi, offers
from harness.kvm.abi import KvmError
from harness.kvm.memory import PAGE_BYTES, Memory
from harness.kvm.stats import Stats
from harness.kvm.vcpu import Vcpu
from harness.native import ffi

# 6.1 named a second one for kernels with weaker memory ordering; both mean the same ring.
_DIRTY_RINGS = ("KVM_CAP_DIRTY_LOG_RING_ACQ_REL", "KVM_CAP_DIRTY_LOG_RING")
_RING_SIZES = tuple(PAGE_BYTES << doubled for doubled in range(5))  # KVM names no smallest


class Vm(Closing):
    """A VM descriptor, its memory and its vCPUs; `close()` takes all of them away."""

    def __init__(self, fd: int, vcpu_mmap_size: int) -> None:
        self.fd = fd
        self.irqchip = "none"  # who keeps the interrupt controller, as its architecture names it
        self._vcpu_mmap_size = vcpu_mmap_size
        self._memory: dict[int, Memory] = {}
        self._addresses: dict[int, int] = {}
        self._vcpus: list[Vcpu] = []
        self._ring_bytes = 0
        #: Descriptors of devices by their type (KVM_DEV_TYPE_...), closed with the VM.
        self.devices: dict[str, int] = {}

    def close(self) -> None:
        """Closes the vCPUs, the VM and its memory; a second call does nothing."""
        for vcpu in self._vcpus:
            vcpu.close()
        self._vcpus.clear()
        for device in self.devices.values():
            os.close(device)
        self.devices.clear()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        for memory in self._memory.values():
            memory.close()
        self._memory.clear()

    def check_extension(self, capability: str) -> int:
        """KVM_CHECK_EXTENSION on the VM, for a name such as KVM_CAP_IRQCHIP."""
        answer = abi.ioctl(self.fd, "KVM_CHECK_EXTENSION", abi.constant(capability))
        # It may differ from what /dev/kvm answers: a VM has what its kind has.
        offers.note(f"{capability} of a VM", answer)
        return answer

    def enable_cap_raw(self, capability: str, *arguments: int) -> int:
        """KVM_ENABLE_CAP on the VM with up to four arguments: 0, or the negative errno."""
        request = ffi.new("struct kvm_enable_cap *")
        request.cap = abi.constant(capability)
        for index, argument in enumerate(arguments):
            request.args[index] = argument
        return abi.ioctl_raw(self.fd, "KVM_ENABLE_CAP", request)

    def enable_cap(self, capability: str, *arguments: int) -> None:
        """`enable_cap_raw()`, but raises `KvmError`."""
        value = self.enable_cap_raw(capability, *arguments)
        if value < 0:
            raise abi.KvmError(f"KVM_ENABLE_CAP({capability})", -value)

    def add_memory(
        self,
        slot: int,
        guest_address: int,
        size: int,
        *,
        log_dirty: bool = False,
        read_only: bool = False,
        mapping: mmap.mmap | None = None,
    ) -> Memory:
        """KVM_SET_USER_MEMORY_REGION with fresh memory of `size` bytes, or with this mapping.

        The mapping is then the VM's to close. Raises `KvmError`.
        """
        memory = Memory(size, mapping)
        try:
            flags = (*_logged(log_dirty), *_read_only(read_only))
            self._set_region(slot, guest_address, memory, *flags)
        except abi.KvmError:
            memory.close()
            raise
        self._memory[slot], self._addresses[slot] = memory, guest_address
        return memory

    def move_memory(self, slot: int, guest_address: int) -> None:
        """A slot's memory is somewhere else from now on. Raises `KvmError`."""
        self._set_region(slot, guest_address, self._memory[slot])
        self._addresses[slot] = guest_address

    def add_memory_to(self, address_space: int, slot: int) -> None:
        """A slot's memory in another address space as well. Raises `KvmError`.

        api.rst 4.35: bits 16 to 31 of the slot name the address space. One that an architecture
        has besides 0 is empty until then.
        """
        self._set_region(address_space << 16 | slot, self._addresses[slot], self._memory[slot])

    def start_dirty_log(self, slot: int) -> None:
        """From now on the writes to a slot are logged. Raises `KvmError`."""
        self._set_region(slot, self._addresses[slot], self._memory[slot], *_logged(True))

    def memory(self, slot: int) -> Memory:
        """The memory of a slot, also of one that was deleted."""
        return self._memory[slot]

    def delete_memory(self, slot: int) -> None:
        """The guest has the slot no more; its memory stays until `close()`. Raises `KvmError`."""
        self._set_region(slot, self._addresses[slot], self._memory[slot], size=0)

    def restore_memory(
        self, slot: int, *, log_dirty: bool = False, read_only: bool = False
    ) -> None:
        """A deleted slot is there again. Raises `KvmError`."""
        flags = (*_logged(log_dirty), *_read_only(read_only))
        self._set_region(slot, self._addresses[slot], self._memory[slot], *flags)

    def _set_region(
        self, slot: int, guest_address: int, memory: Memory, *flags: str, size: int | None = None
    ) -> None:
        region = ffi.new("struct kvm_userspace_memory_region *")
        region.slot = slot
        region.flags = sum(map(abi.constant, flags))
        region.guest_phys_addr = guest_address
        region.memory_size = memory.size if size is None else size
        region.userspace_addr = int(ffi.cast("uintptr_t", memory.address()))
        abi.ioctl(self.fd, "KVM_SET_USER_MEMORY_REGION", region)

    def dirty_pages(self, slot: int) -> set[int]:
        """KVM_GET_DIRTY_LOG: numbers of the slot's pages dirtied since the last call."""
        pages = self._memory[slot].size // os.sysconf("SC_PAGESIZE")
        bitmap = ffi.new("uint64_t[]", (pages + 63) // 64)
        request = ffi.new("struct kvm_dirty_log *")
        request.slot = slot
        request.dirty_bitmap = bitmap
        abi.ioctl(self.fd, "KVM_GET_DIRTY_LOG", request)
        return {page for page in range(pages) if bitmap[page // 64] >> (page % 64) & 1}

    def offers_dirty_ring(self) -> bool:
        """Whether this KVM has dirty rings (api.rst 8.29): from Linux 5.11."""
        return any(map(self.check_extension, _DIRTY_RINGS))

    def enable_dirty_ring_raw(self, size: int) -> int:
        """A dirty ring of `size` bytes for each vCPU to come: 0, or the negative errno.

        Only where it is offered. EINVAL: too small for this KVM, or no power of two.
        """
        capability = next(filter(self.check_extension, _DIRTY_RINGS))
        value = self.enable_cap_raw(capability, size)
        if value == 0:
            self._ring_bytes = size
        return value

    def enable_smallest_dirty_ring(self) -> None:
        """The smallest that this KVM takes, for each vCPU to come. Only where one is offered.

        Raises `KvmError`.
        """
        for size in _RING_SIZES:
            answer = self.enable_dirty_ring_raw(size)
            if answer != -errno.EINVAL:
                break
        if answer:
            raise KvmError("KVM_ENABLE_CAP of a dirty ring", -answer)

    def set_halt_poll(self, nanoseconds: int) -> bool:
        """The longest time that a halted vCPU is polled for before it sleeps (api.rst 7.20).

        KVM_CAP_HALT_POLL, Linux 5.8. It needs no right, as the module's parameter does, and holds
        for this VM only. False where this KVM has it not. Raises `KvmError`.
        """
        if not self.check_extension("KVM_CAP_HALT_POLL"):
            return False
        self.enable_cap("KVM_CAP_HALT_POLL", nanoseconds)
        return True

    def reset_dirty_rings(self) -> int:
        """KVM_RESET_DIRTY_RINGS: how many entries the kernel took back. Raises `KvmError`.

        From Linux 6.16 on the call ends early when a signal pends, with the number so far or 0. So
        it is repeated, like one that gives EINTR, until no collected entry is left.
        """
        name = "KVM_RESET_DIRTY_RINGS"
        taken = abi.ioctl(self.fd, name)
        for _ in range(abi.MOST_REPEATS):
            if not any(vcpu.dirty_ring_waits_for_reset() for vcpu in self._vcpus):
                break
            abi.interrupted[name] += 1
            taken += abi.ioctl(self.fd, name)
        return taken

    def create_vcpu(self, number: int = 0) -> Vcpu:
        """KVM_CREATE_VCPU. Raises `KvmError`."""
        fd = abi.ioctl(self.fd, "KVM_CREATE_VCPU", number)
        vcpu = Vcpu(fd, self._vcpu_mmap_size, self._ring_bytes)
        self._vcpus.append(vcpu)
        return vcpu

    @property
    def vcpu_count(self) -> int:
        """How many vCPUs it has."""
        return len(self._vcpus)

    def create_device(self, kind: str) -> int:
        """KVM_CREATE_DEVICE of a type (KVM_DEV_TYPE_...): its descriptor. Raises `KvmError`."""
        request = ffi.new("struct kvm_create_device *", {"type": abi.constant(kind)})
        abi.ioctl(self.fd, "KVM_CREATE_DEVICE", request)
        self.devices[kind] = int(request.fd)
        return self.devices[kind]

    def create_device_if_any(self, kind: str) -> bool:
        """`create_device()`; False where this KVM has none of the type (ENODEV)."""
        try:
            self.create_device(kind)
        except KvmError as error:
            if error.errno != errno.ENODEV:
                raise
            return False
        return True

    def set_irq_line(self, line: int, *, level: bool) -> None:
        """KVM_IRQ_LINE (api.rst 4.25): what a line is called, its architecture says. `KvmError`."""
        request = ffi.new("struct kvm_irq_level *", {"irq": line, "level": int(level)})
        abi.ioctl(self.fd, "KVM_IRQ_LINE", request)

    def signal_msi_raw(self, address: int, data: int) -> int:
        """KVM_SIGNAL_MSI: how many vCPUs took it, or the negative errno."""
        message = ffi.new("struct kvm_msi *")
        message.address_lo = address & 0xFFFFFFFF
        message.address_hi = address >> 32
        message.data = data
        return abi.ioctl_raw(self.fd, "KVM_SIGNAL_MSI", message)

    def signal_msi(self, address: int, data: int) -> int:
        """`signal_msi_raw()`, but raises `KvmError`."""
        value = self.signal_msi_raw(address, data)
        if value < 0:
            raise abi.KvmError("KVM_SIGNAL_MSI", -value)
        return value

    def ioctl(self, name: str, argument: Any = 0) -> int:
        """An ioctl of the architecture's module on the VM. Raises `KvmError`."""
        return abi.ioctl(self.fd, name, argument)

    def stats_of(self, vcpu: Vcpu) -> Stats | None:
        """Binary statistics of a vCPU; None before Linux 5.14. Close them. Raises `KvmError`."""
        return vcpu.stats() if self.check_extension("KVM_CAP_BINARY_STATS_FD") else None


def _logged(log_dirty: bool) -> tuple[str, ...]:
    return ("KVM_MEM_LOG_DIRTY_PAGES",) if log_dirty else ()


def _read_only(read_only: bool) -> tuple[str, ...]:
    return ("KVM_MEM_READONLY",) if read_only else ()
