# SPDX-License-Identifier: GPL-2.0-only
"""A clock that was moved is told from one that went on."""

from __future__ import annotations

import platform

import pytest

if platform.machine() != "x86_64":
    pytest.skip("these are the clocks of x86", allow_module_level=True)

from harness.kvm.arch.x86_64.clocks import Clocks, Distance

MS = 1_000_000


def test_bounds_that_meet_show_no_move() -> None:
    assert Distance(0, 500, 0).moved(Distance(400, 900, MS)) == 0


def test_bounds_that_part_show_how_far_and_whither() -> None:
    before = Distance(0, 500, 0)
    assert before.moved(Distance(MS, MS + 400, MS)) == MS - 500
    assert before.moved(Distance(-MS, -MS + 400, MS)) == 400 - MS


def test_clocks_of_the_host_may_drift_apart() -> None:
    """By 500 ppm, of a second."""
    assert Distance(0, 0, 0).moved(Distance(500_000, 500_000, 1000 * MS)) == 0


def test_what_moves_by_itself_is_not_compared() -> None:
    first = Clocks({"offset": 1, "rate": 2}, {"TSC": Distance(0, 9, 0)})
    second = Clocks({"offset": 7, "rate": 2}, {"TSC": Distance(MS, MS + 9, MS)})
    steady = first.steady(second)
    assert steady == Clocks({"rate": 2}, {})
    assert steady.differences(Clocks({"offset": 9, "rate": 3}, {})) == ["rate went from 0x2 to 0x3"]
