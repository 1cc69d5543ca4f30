# SPDX-License-Identifier: GPL-2.0-only
"""What userspace changed while the vCPU was stopped is in force in the next run of the guest.

KVM keeps much of it as requests (KVM_REQ_*), which it takes on the way into the guest, behind the
check of the byte. What only one architecture owes is tested in its folder.
"""

from __future__ import annotations

import pytest

from harness.kvm.guest import Guest
from harness.ways import WayOut
from suites.preset import owed_memory
from suites.preset.owed import Owed, each_of, require_kept, runs

pytestmark = pytest.mark.usefixtures("capability")


@pytest.mark.claim("preset.requests_kept")
@each_of(owed_memory.OWED)
@runs
def test_kept(loaded: Guest, owed: Owed, times: int, way: WayOut) -> None:
    """Documentation/virt/kvm/vcpu-requests.rst: a request stands until the vCPU has taken it."""
    require_kept(loaded, owed, times, way)
