# SPDX-License-Identifier: GPL-2.0-only
"""Immediate runs leave no trace."""

from __future__ import annotations

import pytest

from harness.host.features import reason
from harness.kick.budget import Budget
from harness.kvm.guest import RAM_SLOT, Guest
from harness.require import require_eintr
from suites.dimensions import every_irqchip

pytestmark = pytest.mark.usefixtures("capability")

STATISTICS = ("exits", "signal_exits")


def run_immediately(guest: Guest, runs: int) -> None:
    """So many runs with the byte set."""
    guest.vcpu.immediate_exit = 1
    for number in range(1, runs + 1):
        result = guest.vcpu.run_raw(progress_forbidden=True)
        require_eintr(result, f"On run {number} with immediate_exit=1")
    guest.vcpu.immediate_exit = 0


@pytest.mark.claim("races.quiet")
@every_irqchip
def test_not_counted(ready: Guest, kick_budget: Budget) -> None:
    """Neither exits nor signal_exits: the guest was not entered, and no signal was there."""
    if ready.statistic(STATISTICS[0]) is None:
        pytest.skip(reason("no_stats"))
    before = {name: ready.statistic(name) for name in STATISTICS}
    runs = kick_budget.part(0.01)
    run_immediately(ready, runs)
    after = {name: ready.statistic(name) for name in STATISTICS}
    assert after == before, (
        f"{runs} immediate runs must not be counted, but KVM's statistics went from {before} to "
        f"{after}"
    )


@pytest.mark.claim("races.quiet")
@every_irqchip
def test_dirties_nothing(ready: Guest, kick_budget: Budget) -> None:
    """The dirty log of the guest's memory stays empty: no page was written on its behalf."""
    ready.vm.start_dirty_log(RAM_SLOT)
    ready.vm.dirty_pages(RAM_SLOT)
    runs = kick_budget.part(0.01)
    run_immediately(ready, runs)
    found = ready.vm.dirty_pages(RAM_SLOT)
    assert not found, f"{runs} immediate runs must dirty nothing, but page {min(found)} is dirty"
