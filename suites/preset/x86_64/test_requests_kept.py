# SPDX-License-Identifier: GPL-2.0-only
"""What userspace changed while the vCPU was stopped is in force in the next run of the guest.

KVM keeps much of it as requests (KVM_REQ_*), which are for vcpu_enter_guest() to take: an immediate
run does not come there, and must neither take nor drop them. They are listed, with those that no
line here can show, in docs/what-an-immediate-run-may-change.md. A run that a signal ends takes
them, and turns back before the guest: what it has taken is done by then, or stays owed.
"""

from __future__ import annotations

import pytest

from harness.kvm.guest import Guest
from harness.require import require_ended, require_exit
from harness.ways import BYTE, SIGNAL, WayOut
from suites.dimensions import only_on, pin_guest_mode
from suites.preset.x86_64 import owed_clocks, owed_devices, owed_events, owed_memory, owed_writes
from suites.preset.x86_64.owed import Owed

pytestmark = [
    pytest.mark.usefixtures("capability"),
    only_on("x86_64"),
    pin_guest_mode("long"),
]

LINES = {
    **owed_memory.OWED,
    **owed_events.OWED,
    **owed_clocks.OWED,
    **owed_devices.OWED,
    **owed_writes.OWED,
}
every_line = pytest.mark.parametrize(
    ("owed", "irqchip", "guest_program"),
    [(line, line.irqchip, line.program) for line in LINES.values()],
    ids=LINES,
    indirect=["irqchip", "guest_program"],
)
# None, for a line that shows nothing without them is no test of them; one, for a defect that
# toggles cancels out over an even number; and many.
runs = pytest.mark.parametrize(
    ("times", "way"),
    [(0, BYTE), (1, BYTE), (20, BYTE), (20, SIGNAL)],
    ids=["none", "one", "twenty", "twenty_signals"],
)


@pytest.mark.claim("preset.requests_kept")
@every_line
@runs
def test_kept(loaded: Guest, owed: Owed, times: int, way: WayOut) -> None:
    """Documentation/virt/kvm/vcpu-requests.rst: a request stands until the vCPU has taken it."""
    owed.prepare(loaded)
    owed.ask(loaded)
    if times:
        result = way.run_many(loaded.vcpu, times)
        if way.signal and owed.leaves and result.value == 0:
            require_exit(result, owed.leaves, f"On run {result.runs} after {owed.by}{way.said}")
            return
        require_ended(result, way, f"In {times} runs after {owed.by}")
    counted = {0: "without a run", 1: "one run"}
    owed.shown(loaded, f"{counted.get(times, f'{times} runs')}{way.said} after {owed.by}")
