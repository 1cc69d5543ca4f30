# SPDX-License-Identifier: GPL-2.0-only
"""A run that ends before the guest leaves the whole state, not only what the guest's program uses.

By the byte, and by a signal pending at entry (harness.ways).
"""

from __future__ import annotations

import pytest

from harness.kvm.guest import Guest
from harness.require import require_same_state, require_untouched
from harness.ways import BYTE, SIGNAL, WayOut
from suites.dimensions import every_guest_mode, every_irqchip

pytestmark = pytest.mark.usefixtures("capability")

# One, for a defect that toggles cancels out over an even number; and as many as show a slow one.
# (The first of many is looked at too; what the look moves within KVM is the byte's to bear alone.)
runs = pytest.mark.parametrize(
    ("times", "way"),
    [(1, BYTE), (20, BYTE), (20, SIGNAL)],
    ids=["once", "twenty_times", "twenty_signals"],
)


@pytest.mark.claim("preset.state_untouched")
@every_guest_mode
@every_irqchip
@pytest.mark.keeps("irqchip")
@runs
def test_first_run_changes_nothing(loaded: Guest, times: int, way: WayOut) -> None:
    """By the byte the way into the guest is not begun, and nothing before it changes what KVM
    gives; with a signal it is, and turns back."""
    _runs_change_nothing(loaded, times, way, "Before the first run of the guest")


@pytest.mark.claim("preset.state_untouched")
@every_guest_mode
@every_irqchip
@pytest.mark.keeps("irqchip")
@runs
def test_later_run_changes_nothing(ready: Guest, times: int, way: WayOut) -> None:
    """The same for a guest that has run, whose state was in the processor."""
    _runs_change_nothing(ready, times, way, "After the guest has run")


def _runs_change_nothing(guest: Guest, times: int, way: WayOut, when: str) -> None:
    guest.fill()
    before = guest.whole()
    require_same_state(before, guest.whole(), "Without a run in between")
    require_untouched(guest, when, way, times)
