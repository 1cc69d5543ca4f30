# SPDX-License-Identifier: GPL-2.0-only
"""What only x86 owes a vCPU: events, clocks, devices, the guest's writes and page tables.

KVM keeps much of it as requests (KVM_REQ_*), which are for vcpu_enter_guest() to take: an immediate
run does not come there, and must neither take nor drop them. They are listed, with those that no
line here can show, in docs/what-an-immediate-run-may-change.md. A run that a signal ends takes
them, and turns back before the guest: what it has taken is done by then, or stays owed.
"""

from __future__ import annotations

import pytest

from harness.kvm.guest import Guest
from harness.ways import WayOut
from suites.dimensions import only_on, pin_guest_mode
from suites.preset.owed import Owed, each_of, require_kept, runs
from suites.preset.x86_64 import owed_clocks, owed_devices, owed_events, owed_tables, owed_writes

pytestmark = [
    pytest.mark.usefixtures("capability"),
    only_on("x86_64"),
    pin_guest_mode("long"),
]

LINES = {
    **owed_tables.OWED,
    **owed_events.OWED,
    **owed_clocks.OWED,
    **owed_devices.OWED,
    **owed_writes.OWED,
}


@pytest.mark.claim("preset.requests_kept")
@each_of(LINES)
@runs
def test_kept(loaded: Guest, owed: Owed, times: int, way: WayOut) -> None:
    """Documentation/virt/kvm/vcpu-requests.rst: a request stands until the vCPU has taken it."""
    require_kept(loaded, owed, times, way)
