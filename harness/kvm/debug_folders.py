# SPDX-License-Identifier: GPL-2.0-only
"""The folders in debugfs that KVM keeps, one for each VM as long as it lives.

Named by the process that made it and the VM's descriptor there (kvm_create_vm_debugfs()).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Collection
from pathlib import Path

_KVM = Path("/sys/kernel/debug/kvm")


def of_this_process() -> frozenset[str]:
    """Their names; none where this user may not see them."""
    try:
        return frozenset(path.name for path in _KVM.glob(f"{os.getpid()}-*"))
    except OSError:
        return frozenset()


def set_apart(names: Collection[str]) -> None:
    """No later VM gets the descriptor of one of these, and so no folder of the same name."""
    for name in names:
        with Path(os.devnull).open("rb") as anything:
            fcntl.fcntl(anything, fcntl.F_DUPFD_CLOEXEC, int(name.partition("-")[2]))
