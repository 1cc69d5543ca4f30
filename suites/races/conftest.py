# SPDX-License-Identifier: GPL-2.0-only
"""What the races share: the control, and the verdict that goes into the results."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from harness.host import pace
from harness.kick.plan import Landing
from harness.kick.race import Race
from harness.kick.summary import Summary, latency_percentile
from harness.kick.verdict import judge, late_counts, require_held

Judge = Callable[..., None]


@pytest.fixture
def require_no_loss(record_property: Callable[[str, object], None]) -> Judge:
    """Judges races as one, notes the counts for the results, and fails unless it held.

    Their control runs behind them on the same guest, so it is of their kind in all that matters.
    """

    def require(
        race: Race,
        races: Sequence[Summary],
        minima: dict[Landing, int] | None = None,
        control: Summary | None = None,
    ) -> None:
        __tracebackhide__ = True
        minima = {place: pace.here().meetings(least) for place, least in (minima or {}).items()}
        planned = len(races)
        races = race.until_landed(races, minima)
        control = control or race.control(races[0].plan)
        verdict = judge(races, control=control, minima=minima)
        late = late_counts(races)
        record_property("kicks", verdict.kicks)
        record_property("lost", verdict.losses)
        record_property("races_more", len(races) - planned)
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
        for share in (0.5, 0.99):
            record_property(f"latency_p{share * 100:.0f}_ns", latency_percentile(races, share))
        record_property("race_verdict", f"{verdict.outcome.value}: {verdict.text}")
        require_held(verdict, races)

    return require
