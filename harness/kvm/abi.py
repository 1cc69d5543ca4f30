# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's ABI as the system's headers give it: ioctl numbers, constants, structs.

Never `fcntl.ioctl` for KVM_RUN: from CPython 3.14 on it repeats a call that ended in EINTR
(gh-132742), and with `immediate_exit` set it would repeat for ever.
"""

from __future__ import annotations

import errno as errno_module
import os
from collections import Counter
from typing import Any

from harness.kvm import call_log
from harness.native import ffi, lib


class KvmError(OSError):
    """An ioctl of KVM failed. `errno` is the kernel's; `ioctl` names the call."""

    def __init__(self, ioctl: str, errno: int) -> None:
        name = errno_module.errorcode.get(errno, str(errno))
        super().__init__(errno, f"{ioctl} failed with {name} ({os.strerror(errno)})")
        self.ioctl = ioctl


class LackingError(KvmError):
    """This KVM says that it has not what is asked for. Any other `KvmError` is a refusal."""


#: What an ioctl of KVM gives where the host has not enough, or this process may not have more.
#: KVM_RUN asks for nothing that is limited.
OUT_OF_RESOURCES = frozenset({errno_module.ENOMEM, errno_module.EMFILE, errno_module.ENFILE})


class AbiError(ImportError):
    """A number and a struct of the system's headers do not belong together."""


def _read_ioctls() -> dict[str, int]:
    """The table of ioctls.c, checked.

    An ioctl's number carries the size of its argument (asm-generic/ioctl.h), so a struct that was
    read with a wrong layout shows here, when the harness is imported, and not as a strange EINVAL
    or ENOTTY much later.
    """
    numbers: dict[str, int] = {}
    index = 0
    while lib.ke_ioctls[index].name:
        entry = lib.ke_ioctls[index]
        name = ffi.string(entry.name).decode()
        size = lib.ke_ioctl_size(entry.number)
        if size != entry.size:
            raise AbiError(
                f"{name}: its number {entry.number:#x} says that the argument has {size} bytes, "
                f"but the struct in the system's headers has {entry.size}; "
                "rebuild the extension on this machine"
            )
        numbers[name] = entry.number
        index += 1
    return numbers


IOCTLS = _read_ioctls()


def check_offsets() -> None:
    """The documented place of the byte (api.rst, "The kvm_run structure").

    Raises `AbiError` when the header that the extension was built with differs.
    """
    for field, offset in (
        ("request_interrupt_window", 0),
        ("immediate_exit", 1),
        ("exit_reason", 8),
    ):
        found = ffi.offsetof("struct kvm_run", field)
        if found != offset:
            raise AbiError(f"kvm_run.{field} is at byte {found}, but the ABI says {offset}")


check_offsets()


MOST_REPEATS = 1000
interrupted: Counter[str] = Counter()
"""How often this process repeated which ioctl."""


def ioctl_once_raw(fd: int, name: str, argument: Any = 0) -> int:
    """Issues an ioctl by name, once: the kernel's value, or the negative errno, EINTR too."""
    log = call_log.current
    before = call_log.content(name, argument) if log else b""
    value = int(lib.ke_ioctl(fd, IOCTLS[name], ffi.cast("void *", argument)))
    if log:
        log.called(fd, name, argument, before, value)
    return value


def ioctl_raw(fd: int, name: str, argument: Any = 0) -> int:
    """Issues an ioctl by name. `argument` is a cffi pointer, or a number.

    Gives the kernel's value (0 or more), or the negative errno. A call that a signal interrupted
    did nothing, and is repeated: KVM_CREATE_VM looks for signals (mm_take_all_locks(), for the MMU
    notifier), and other calls may come to do so. EINTR is an answer of KVM_RUN alone; from any
    other call it is one only where repeating has no end.
    """
    for _ in range(MOST_REPEATS):
        value = ioctl_once_raw(fd, name, argument)
        if value != -errno_module.EINTR or name == "KVM_RUN":
            break
        interrupted[name] += 1
    return value


def ioctl(fd: int, name: str, argument: Any = 0) -> int:
    """`ioctl_raw()`, but raises `KvmError` for an errno."""
    value = ioctl_raw(fd, name, argument)
    if value < 0:
        raise KvmError(name, -value)
    return value


def constant(name: str) -> int:
    """A constant of the headers, such as KVM_CAP_IRQCHIP. Raises AttributeError if unknown."""
    return int(getattr(lib, name))


def run_field(name: str) -> range:
    """The bytes of a field of struct kvm_run."""
    begin = int(ffi.offsetof("struct kvm_run", name))
    field = dict(ffi.typeof("struct kvm_run").fields)[name]
    return range(begin, begin + int(ffi.sizeof(field.type)))


def run_structure_size() -> int:
    """Bytes of struct kvm_run as the header that the extension was built with defines it."""
    return int(ffi.sizeof("struct kvm_run"))
