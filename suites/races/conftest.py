# SPDX-License-Identifier: GPL-2.0-only
"""What the races share: a control of each delivery, and the verdict that goes into the results."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from harness.kick.plan import Delivery, Landing
from harness.kick.race import Race
from harness.kick.summary import Summary
from harness.kick.verdict import judge, late_counts, require_held

Judge = Callable[..., None]


@pytest.fixture(scope="session")
def controls() -> dict[Delivery, Summary]:
    """The controls that this process has run, for guests that spin."""
    return {}


@pytest.fixture
def control(race: Race, controls: dict[Delivery, Summary]) -> Callable[[Delivery], Summary]:
    """The control of a delivery. It costs a second, so a process runs each once."""

    def get(delivery: Delivery) -> Summary:
        if delivery not in controls:
            controls[delivery] = race.control(delivery)
        return controls[delivery]

    return get


@pytest.fixture
def require_no_loss(record_property: Callable[[str, object], None]) -> Judge:
    """Judges races as one, notes the counts for the results, and fails unless it held."""

    def require(
        races: Sequence[Summary], control: Summary, minima: dict[Landing, int] | None = None
    ) -> None:
        __tracebackhide__ = True
        verdict = judge(races, control=control, minima=minima)
        late = late_counts(races)
        record_property("kicks", verdict.kicks)
        record_property("lost", verdict.losses)
        record_property("bound", f"{verdict.bound:.3g}")
        for place, count in verdict.landings.items():
            record_property(f"landed_{place.name.lower()}", count)
        record_property("late_before_progress", f"{late.late_before} of {late.all_before}")
        record_property("late_in_guest", f"{late.late_guest} of {late.all_guest}")
        record_property(
            "control_lost_in_window",
            f"{control.lost[Landing.IN_WINDOW]} of {control.landings[Landing.IN_WINDOW]}",
        )
        record_property("kicks_a_second", round(sum(r.rate for r in races) / len(races)))
        record_property("race_verdict", f"{verdict.outcome.value}: {verdict.text}")
        require_held(verdict)

    return require
