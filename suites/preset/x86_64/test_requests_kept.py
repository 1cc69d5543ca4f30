# SPDX-License-Identifier: GPL-2.0-only
"""What userspace changed while the vCPU was stopped is in force in the next run of the guest.

KVM keeps much of it as requests (KVM_REQ_*), which are for vcpu_enter_guest() to take: an immediate
run does not come there, and must neither take nor drop them. They are listed, with those that no
line here can show, in docs/what-an-immediate-run-may-change.md.
"""

from __future__ import annotations

import pytest

from harness.kvm.guest import Guest
from harness.require import require_eintr
from suites.dimensions import only_on, pin_guest_mode
from suites.preset.x86_64 import owed_clocks, owed_devices, owed_events, owed_memory
from suites.preset.x86_64.owed import Owed

pytestmark = [
    pytest.mark.usefixtures("capability"),
    only_on("x86_64"),
    pin_guest_mode("long"),
]

LINES = {**owed_memory.OWED, **owed_events.OWED, **owed_clocks.OWED, **owed_devices.OWED}
every_line = pytest.mark.parametrize(
    ("owed", "irqchip", "guest_program"),
    [(line, line.irqchip, line.program) for line in LINES.values()],
    ids=LINES,
    indirect=["irqchip", "guest_program"],
)
# None, for a line that shows nothing without them is no test of them; one, for a defect that
# toggles cancels out over an even number; and many.
runs = pytest.mark.parametrize("times", [0, 1, 20], ids=["none", "one", "twenty"])


@pytest.mark.claim("preset.requests_kept")
@every_line
@runs
def test_kept(loaded: Guest, owed: Owed, times: int) -> None:
    """Documentation/virt/kvm/vcpu-requests.rst: a request stands until the vCPU has taken it."""
    owed.prepare(loaded)
    owed.ask(loaded)
    if times:
        loaded.vcpu.immediate_exit = 1
        result = loaded.vcpu.run_many_raw(times)
        loaded.vcpu.immediate_exit = 0
        require_eintr(result, f"In {times} immediate runs after {owed.by}")
    counted = {0: "without an immediate run", 1: "one immediate run"}
    owed.shown(loaded, f"{counted.get(times, f'{times} immediate runs')} after {owed.by}")
