# SPDX-License-Identifier: GPL-2.0-only
"""What a call may have kept that no list of this process shows."""

from __future__ import annotations

import os
from pathlib import Path

_MODULES = Path("/sys/module")


def lowest_free_descriptor() -> int:
    """The number that the next descriptor gets. One that was set aside and never used is taken."""
    fd = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    os.close(fd)
    return fd


def users_of_kvm() -> int:
    """How many hold KVM's modules: VMs and open descriptors, of every process; 0 if built in."""
    found = 0
    for path in _MODULES.glob("kvm*/refcnt"):
        try:
            found += int(path.read_text())
        except (OSError, ValueError):
            continue  # it was removed meanwhile
    return found
