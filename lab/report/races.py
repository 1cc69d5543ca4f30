# SPDX-License-Identifier: GPL-2.0-only
"""The races of a run for the page: what its tests recorded, and a picture of it."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from harness.kick.plan import LANDINGS
from harness.reporting.results import Result
from harness.shapes import ShapeError, shaped
from lab import pictures
from lab.pictures import landing_map, race_tests
from lab.pictures.race_tests import RaceTest
from lab.results.names import sentence
from lab.sweep.report import Report

_NAME_LIMIT = 60  # characters
_MOST_DRAWN = 100
_Count = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


@dataclass(frozen=True)
class _Recorded:
    """What suites/races record, beside landed_PLACE."""

    kicks: _Count
    lost: _Count
    bound: str
    latency_p50_ns: _Count = 0
    latency_p99_ns: _Count = 0


def of_results(results: Iterable[Result]) -> list[RaceTest]:
    """Those of tests that raced; without the ones whose numbers are damaged."""
    found = []
    for each in results:
        try:
            found.append(_of_properties(each.id, each.properties))
        except ShapeError:
            continue
    return found


def _of_properties(test: str, properties: Any) -> RaceTest:
    told = shaped(properties, _Recorded, others=True)
    landings = shaped(
        [properties.get(f"landed_{place.name.lower()}", 0) for place in LANDINGS], list[_Count]
    )
    return RaceTest(
        sentence(test, _NAME_LIMIT),
        told.kicks,
        told.lost,
        sentence(told.bound, 20),
        tuple(landings),
        told.latency_p50_ns,
        told.latency_p99_ns,
    )


def picture(tests: Sequence[RaceTest]) -> str:
    """Of them, whole, as the address of an image; empty where it cannot be drawn."""
    return _address(race_tests.as_svg(tests[:_MOST_DRAWN])) if pictures.can_draw() else ""


def landing_maps(sweep: Report) -> Iterator[tuple[str, str]]:
    """Each way with its picture, as `picture`; nothing where none can be drawn."""
    for way in dict.fromkeys(each.way for each in sweep.verdicts) if pictures.can_draw() else ():
        title = sentence(sweep.kernel, _NAME_LIMIT)
        yield way, _address(landing_map.as_svg(sentence(way, 40), sweep.of(way), title))


def _address(svg: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"
