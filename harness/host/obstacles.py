# SPDX-License-Identifier: GPL-2.0-only
"""Why nothing can be tested on this host: one look before the first test."""

from __future__ import annotations

import errno
import grp
import os
import platform
import pwd
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.host import arch as words
from harness.kvm import arch
from harness.kvm.abi import OUT_OF_RESOURCES
from harness.kvm.system import DEVICE, System

API_VERSION = 12


@dataclass(frozen=True)
class Obstacle:
    """`token` is the fixed word for reports, `sentence` says what is wrong, `advice` what to do."""

    token: str
    sentence: str
    advice: str

    def __str__(self) -> str:
        return f"{self.token}: {self.sentence} {self.advice}"


class _System(Protocol):
    def api_version(self) -> int: ...
    def create_vm_raw(self) -> int: ...
    def close(self) -> None: ...


def _open_error(device: Path, error: OSError) -> Obstacle:
    if error.errno in (errno.EACCES, errno.EPERM):
        return Obstacle(
            "no_permission", f"{device} may not be opened by this user.", _group(device)
        )
    if error.errno == errno.EBUSY:
        return Obstacle("kvm_busy", f"{device} is in use by somebody else.", _BUSY_ADVICE)
    if error.errno in (errno.ENODEV, errno.ENXIO):
        return Obstacle("no_kvm", f"{device} is there, but no KVM answers behind it.", _LOAD_ADVICE)
    return Obstacle("no_kvm", f"{device} cannot be opened: {error.strerror}.", _LOAD_ADVICE)


_LOAD_ADVICE = (
    f"{words.here().loading}, and turn virtualization on in the firmware, or in the hypervisor "
    "that this machine runs under."
)
_BUSY_ADVICE = (
    "End the other hypervisor (VirtualBox, VMware, ...) or unload its module, then try again."
)


def _group_name(device: Path) -> str:
    number = device.stat().st_gid
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _owned_by_a_group(device: Path) -> bool:
    """Whether joining the device's group would open it: not for root's own group."""
    status = device.stat()
    return status.st_mode & 0o060 == 0o060 and status.st_gid != 0


def _user() -> str:
    """The user's name; the number where the host has no name for it."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _is_member(group: int) -> bool:
    """Whether the group database has this user in the group. A session keeps what it began with."""
    try:
        entry = pwd.getpwuid(os.getuid())
    except KeyError:
        return False
    return group in os.getgrouplist(entry.pw_name, entry.pw_gid)


def _as_root(*commands: str) -> str:
    """What to type, also for a user who has no sudo."""
    if shutil.which("sudo") is None:
        return f"as root, type: `{' && '.join(commands)}`"
    return f"`{' && '.join(f'sudo {command}' for command in commands)}`"


def _group(device: Path) -> str:
    """Which group opens the device, and how to join it."""
    name, status = _group_name(device), device.stat()
    opens = _owned_by_a_group(device)
    if os.geteuid() == 0 or (opens and status.st_gid in (os.getegid(), *os.getgroups())):
        return (
            "Its owner, group and mode would allow it, so something else forbids it: a container, "
            f"which must be given the device (`--device {device}`), or a security module."
        )
    if opens and _is_member(status.st_gid):
        return (
            f"{_user()} is in the group {name}, but this session began before that: log in again, "
            f"or type `newgrp {name}`."
        )
    if opens:
        join = _as_root(f"usermod -aG {name} {_user()}")
        return f"Join the group {name}: {join}, then log in again."
    give = _as_root(f"chgrp kvm {device}", f"chmod 660 {device}", f"usermod -aG kvm {_user()}")
    return (
        f"It belongs to the group {name} with mode {status.st_mode & 0o777:o}: run as root, or "
        f"give the group kvm the right to open it and join that: {give}, then log in again."
    )


def preflight(
    device: Path = DEVICE, open_system: Callable[[Path], _System] = System
) -> Obstacle | None:
    """None when tests can run; else the first thing in the way. Never raises for bad hosts.

    Want of memory or descriptors is none: it may pass, and each test that meets it is an error.
    """
    if platform.machine() not in arch.supported():
        return Obstacle(
            "other_architecture",
            f"This machine is {platform.machine()}; the suite knows {', '.join(arch.supported())}.",
            "A new architecture is a module in harness/kvm/arch and its guest programs.",
        )
    if not os.path.lexists(device):
        return Obstacle("no_kvm", f"There is no {device}.", _LOAD_ADVICE)
    try:
        system = open_system(device)
    except OSError as error:
        return None if error.errno in OUT_OF_RESOURCES else _open_error(device, error)
    try:
        return _question(device, system)
    except OSError as error:
        if error.errno in OUT_OF_RESOURCES:
            return None
        return Obstacle("no_kvm", f"{device} is not a KVM device: {error}.", _LOAD_ADVICE)
    finally:
        system.close()


def _question(device: Path, system: _System) -> Obstacle | None:
    version = system.api_version()
    if version != API_VERSION:
        return Obstacle(
            "wrong_api",
            f"{device} speaks API version {version}, not {API_VERSION}.",
            "Every Linux since 2.6.22 speaks 12: this is no KVM that the suite can judge.",
        )
    fd = system.create_vm_raw()
    if fd >= 0:
        os.close(fd)
    if fd >= 0 or -fd in OUT_OF_RESOURCES:
        return None
    if fd == -errno.EBUSY:
        return Obstacle(
            "kvm_busy", "Another hypervisor holds the processor's virtualization.", _BUSY_ADVICE
        )
    return Obstacle(
        "no_vm", f"KVM_CREATE_VM fails: {os.strerror(-fd)}.", "The kernel's log may say why: dmesg."
    )
