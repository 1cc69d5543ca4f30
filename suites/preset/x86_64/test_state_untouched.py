# SPDX-License-Identifier: GPL-2.0-only
"""An immediate run leaves the whole state as it was, not only what the guest's program uses."""

from __future__ import annotations

import pytest

from harness.kvm.arch.x86_64 import patterns
from harness.kvm.guest import Guest
from harness.require import require_same_state, require_untouched
from suites.dimensions import every_guest_mode, every_irqchip, only_on

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64")]

# One, for a defect that toggles cancels out over an even number; and as many as show a slow one.
runs = pytest.mark.parametrize("times", [1, 20], ids=["once", "twenty_times"])


@pytest.mark.claim("preset.state_untouched")
@every_guest_mode
@every_irqchip
@pytest.mark.keeps("irqchip")
@runs
def test_first_run_changes_nothing(loaded: Guest, times: int) -> None:
    """vcpu_enter_guest() is not reached, and nothing before it changes what KVM gives."""
    _runs_change_nothing(loaded, times, "Before the first run of the guest")


@pytest.mark.claim("preset.state_untouched")
@every_guest_mode
@every_irqchip
@pytest.mark.keeps("irqchip")
@runs
def test_later_run_changes_nothing(ready: Guest, times: int) -> None:
    """The same for a guest that has run, whose state was in the processor."""
    _runs_change_nothing(ready, times, "After the guest has run")


def _runs_change_nothing(guest: Guest, times: int, when: str) -> None:
    patterns.fill(guest.vcpu, guest.vm)
    before = guest.whole()
    require_same_state(before, guest.whole(), "Without a run in between")
    require_untouched(guest, when, times=times)
