# SPDX-License-Identifier: GPL-2.0-only
"""How long a machine has: what must hold everything has the time that the whole suite takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lab.emulation.watch import Limits
from lab.mutation.catalogue import Mutant
from lab.mutation.runs import Campaign, MutantTask
from tests.lab.mutation.test_judge import BASELINE, mutant

LIMIT_S = 600.0
SOUND = mutant(claims=(), kind="sound", mutant_class="sound")


class Lanes:
    """Takes what it is asked."""

    def ask(self, *_words: object, **limits: Any) -> None:
        self.limit_s = limits["limit_s"]


def asked_for(tmp_path: Path, broken: Mutant | None) -> float:
    plan = Campaign(tmp_path, "2000", 0.0, LIMIT_S, 300.0, sweeps=False)
    source: Any = type("Source", (), {"version": "6.1"})
    lanes: Any = Lanes()
    task = MutantTask(tmp_path / "one", {}, source=source, plan=plan, mutant=broken, lanes=lanes)
    task.found = {"modules": "/m"}
    task.begin()
    return float(lanes.limit_s)


def test_a_mutant_has_the_limit_that_was_asked_for(tmp_path: Path) -> None:
    assert asked_for(tmp_path, mutant()) == LIMIT_S


@pytest.mark.parametrize(
    "innocent", [None, BASELINE, SOUND], ids=["stock", "baseline", "sound_variant"]
)
def test_what_must_hold_everything_has_the_time_of_all_tests(
    tmp_path: Path, innocent: Mutant | None
) -> None:
    """A limit that is shorter than the whole suite would be a loss of the machine."""
    assert asked_for(tmp_path, innocent) == Limits.total_s
