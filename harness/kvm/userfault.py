# SPDX-License-Identifier: GPL-2.0-only
"""Guest memory whose first access waits until a test resolves it: userfaultfd(2)."""

from __future__ import annotations

import errno
import os

from harness.closing import Closing
from harness.kvm import call_log
from harness.kvm.memory import Memory
from harness.native import ffi, lib

#: A kernel without it, and whatever forbids it: a right, a seccomp filter, a security module.
_UNAVAILABLE = frozenset({errno.ENOSYS, errno.EPERM, errno.EACCES})


class UserfaultUnavailableError(Exception):
    """userfaultfd(2) is not there, or not for this user."""


class Userfault(Closing):
    """A context manager: the whole of a `Memory` waits at its first access.

    The memory must not have been touched. Raises `UserfaultUnavailableError`, and OSError: such
    memory can always be registered. To close it lets every access go that still waits, so it must
    happen before whoever waits is joined.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        call_log.cannot("memory behind a userfaultfd")
        self.fd = int(lib.ke_userfault_open())
        if -self.fd in _UNAVAILABLE:
            raise UserfaultUnavailableError(f"userfaultfd(): {os.strerror(-self.fd)}")
        if self.fd < 0:
            raise OSError(-self.fd, f"userfaultfd(): {os.strerror(-self.fd)}")
        error = lib.ke_userfault_register(self.fd, memory.address(), memory.size)
        if error:
            self.close()
            raise OSError(-error, f"UFFDIO_REGISTER: {os.strerror(-error)}")

    def waiting(self) -> bool:
        """Whether an access has come to wait since the last call. Raises OSError."""
        address = ffi.new("uint64_t *")
        found = int(lib.ke_userfault_wait(self.fd, 0, address))
        if found < 0:
            raise OSError(-found, f"the userfaultfd: {os.strerror(-found)}")
        return found == 1

    def resolve(self) -> None:
        """Fills the memory with zeroes: what waits goes on, nothing waits again. OSError."""
        error = lib.ke_userfault_zero(self.fd, self._memory.address(), self._memory.size)
        if error:
            raise OSError(-error, f"UFFDIO_ZEROPAGE: {os.strerror(-error)}")

    def close(self) -> None:
        """Lets everything go and closes; a second call does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
