# SPDX-License-Identifier: GPL-2.0-only
"""/dev/kvm itself."""

from __future__ import annotations

import os
from pathlib import Path

from harness.closing import Closing
from harness.kvm import abi, offers
from harness.kvm.vm import Vm

DEVICE = Path("/dev/kvm")


class System(Closing):
    """An open /dev/kvm. Raises OSError when it cannot be opened."""

    def __init__(self, path: Path = DEVICE) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def close(self) -> None:
        """Closes the descriptor; a second call does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def api_version(self) -> int:
        """KVM_GET_API_VERSION: 12, since 2.6.22."""
        return abi.ioctl(self.fd, "KVM_GET_API_VERSION")

    def check_extension(self, capability: str) -> int:
        """KVM_CHECK_EXTENSION on /dev/kvm, for a name such as KVM_CAP_IRQCHIP."""
        answer = abi.ioctl(self.fd, "KVM_CHECK_EXTENSION", abi.constant(capability))
        offers.note(capability, answer)
        return answer

    def vcpu_mmap_size(self) -> int:
        """KVM_GET_VCPU_MMAP_SIZE, bytes: kvm_run and what stands behind it."""
        return abi.ioctl(self.fd, "KVM_GET_VCPU_MMAP_SIZE")

    def create_vm_raw(self, machine_type: int = 0) -> int:
        """KVM_CREATE_VM: a descriptor, or the negative errno."""
        return abi.ioctl_raw(self.fd, "KVM_CREATE_VM", machine_type)

    def create_vm_once_raw(self, machine_type: int = 0) -> int:
        """The same, but EINTR is an answer, and the call not repeated."""
        return abi.ioctl_once_raw(self.fd, "KVM_CREATE_VM", machine_type)

    def create_vm(self, machine_type: int = 0) -> Vm:
        """A new virtual machine. Raises `KvmError`."""
        fd = self.create_vm_raw(machine_type)
        if fd < 0:
            raise abi.KvmError("KVM_CREATE_VM", -fd)
        return Vm(fd, self.vcpu_mmap_size())
