# SPDX-License-Identifier: GPL-2.0-only
"""How many VMs of this process the kernel keeps, by what it shows of each."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from harness.kvm import debug_folders

#: KVM may have a thread for each VM, which ends with it. From Linux 6.13 on it is one of the
#: process that made the VM; from 5.17 on its whole name can be read, with that process's id.
_WORKER = "kvm-nx-lpage-recovery"
_WORKER_SHORT = _WORKER[:15]


def vms_alive() -> Mapping[str, int]:
    """Signs of VMs of this process, each with their number. What this user may not see shows 0."""
    pid = os.getpid()
    own = [_name(path) for path in Path("/proc/self/task").iterdir()]
    kernels = [_name(path) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return {
        "threads of KVM in this process": sum(name.startswith(_WORKER_SHORT) for name in own),
        "kernel threads of its VMs": kernels.count(f"{_WORKER}-{pid}"),
        "folders in KVM's debugfs": len(debug_folders.of_this_thread()),
    }


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().rstrip("\n")
    except OSError:  # it has ended
        return ""
