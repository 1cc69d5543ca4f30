# SPDX-License-Identifier: GPL-2.0-only
"""The folders in debugfs that KVM keeps, one for each VM as long as it lives.

Named by the thread that made it, as the host numbers it, and the VM's descriptor
(kvm_create_vm_debugfs()).
"""

from __future__ import annotations

import fcntl
import os
import re
import threading
from collections.abc import Collection
from pathlib import Path

_KVM = Path("/sys/kernel/debug/kvm")
_NUMBERS = re.compile(r"^NSpid:(.*)$", re.M)  # one for each PID namespace that it is in


def of_this_thread() -> frozenset[str]:
    """The names of its VMs; none where this user may not see them, or has other numbers."""
    try:
        if len(_NUMBERS.findall(Path("/proc/thread-self/status").read_text())[0].split()) > 1:
            return frozenset()
        return frozenset(path.name for path in _KVM.glob(f"{threading.get_native_id()}-*"))
    except (OSError, IndexError):
        return frozenset()


def set_apart(names: Collection[str]) -> None:
    """No later VM gets the descriptor of one of these, and so no folder of the same name."""
    for name in names:
        with Path(os.devnull).open("rb") as anything:
            fcntl.fcntl(anything, fcntl.F_DUPFD_CLOEXEC, int(name.partition("-")[2]))
