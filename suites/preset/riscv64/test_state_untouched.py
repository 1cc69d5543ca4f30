# SPDX-License-Identifier: GPL-2.0-only
"""A run that ends before the guest leaves the whole state, not only what the guest's program uses.

All that KVM_GET_REG_LIST names, for a vCPU in which none of it is zero.
"""

from __future__ import annotations

import pytest

from harness.kvm.guest import Guest
from harness.require import require_same_state, require_untouched
from harness.ways import BYTE, SIGNAL, WayOut
from suites.dimensions import every_guest_mode, every_irqchip, only_on

pytestmark = [pytest.mark.usefixtures("capability"), only_on("riscv64")]

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
    """By the byte nothing is loaded into the processor; with a signal it is, and comes back."""
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
