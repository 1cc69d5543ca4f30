# SPDX-License-Identifier: GPL-2.0-only
"""Why nothing can be tested on this host: one look before the first test."""

from __future__ import annotations

import errno
import grp
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.kvm import arch
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
    "Load the module for this processor (on x86 `modprobe kvm_intel` or `modprobe kvm_amd`), and "
    "turn virtualization on in the firmware, or in the hypervisor that this machine runs under."
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


def _group(device: Path) -> str:
    """Which group opens the device, and how to join it."""
    name = _group_name(device)
    if _owned_by_a_group(device):
        return f"Join the group {name}: `sudo usermod -aG {name} $USER`, then log in again."
    return (
        f"It belongs to the group {name} with mode {device.stat().st_mode & 0o777:o}: run as "
        f"root, or give the group kvm the right to open it (`sudo chgrp kvm {device} && sudo "
        f"chmod 660 {device}`) and join it."
    )


def preflight(
    device: Path = DEVICE, open_system: Callable[[Path], _System] = System
) -> Obstacle | None:
    """None when tests can run; else the first thing in the way. Never raises for bad hosts."""
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
        return _open_error(device, error)
    try:
        return _question(device, system)
    except OSError as error:
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
        return None
    if fd == -errno.EBUSY:
        return Obstacle(
            "kvm_busy", "Another hypervisor holds the processor's virtualization.", _BUSY_ADVICE
        )
    return Obstacle(
        "no_vm", f"KVM_CREATE_VM fails: {os.strerror(-fd)}.", "The kernel's log may say why: dmesg."
    )
