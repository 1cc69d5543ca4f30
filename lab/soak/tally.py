# SPDX-License-Identifier: GPL-2.0-only
"""Adds summaries of races up, in memory that does not grow with their number.

Works on the dictionaries of `Summary.as_json`, so that a soak that runs and a journal that is
read are added up by the same lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from harness import json_lines
from harness.kick.plan import LANDINGS
from harness.kick.summary import upper_bound
from harness.shapes import ShapeError, shaped

LANDING_WORDS = tuple(landing.value for landing in LANDINGS)
#: Of a soak's journal, and of a run's.
_FIRST = ("soak", "session")
_NEEDED = ("plan", "kicks", "landings", "latency")


class RaceResultsError(ValueError):
    """The file or folder holds no results that can be used; the sentence says why."""


_Count = Annotated[int, Meta(ge=0)]
_Bucket = Annotated[int, Meta(ge=0, lt=64)]


@dataclass(frozen=True)
class _Summary:
    """What is added up of a summary."""

    kicks: _Count
    landings: dict[str, _Count]
    latency: dict[_Bucket, _Count]
    lost: dict[str, _Count] = field(default_factory=dict)
    late: dict[str, _Count] = field(default_factory=dict)
    preempted: _Count = 0
    spurious: _Count = 0
    unexpected: _Count = 0
    swallowed: _Count = 0
    last_error: _Count = 0


@dataclass
class Tally:
    """The sum of many summaries. `seconds` is the time in which the kicks were made."""

    kicks: int = 0
    seconds: float = 0.0
    landings: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)
    latency: Counter[int] = field(default_factory=Counter)
    preempted: int = 0
    spurious: int = 0
    unexpected: int = 0
    swallowed: int = 0
    last_error: int = 0

    def take(self, summary: Mapping[str, Any]) -> None:
        """Adds one summary, without its time. Raises ValueError for one that is damaged."""
        try:
            found = shaped(summary, _Summary, others=True)
        except ShapeError as error:
            raise ValueError(f"a damaged summary ({error})") from error
        self.kicks += found.kicks
        self.landings.update(found.landings)
        self.lost.update(found.lost)
        self.late.update(found.late)
        self.latency.update(found.latency)
        self.preempted += found.preempted
        self.spurious += found.spurious
        self.unexpected += found.unexpected
        self.swallowed += found.swallowed
        self.last_error = found.last_error or self.last_error

    def take_slice(self, summaries: list[dict[str, Any]]) -> None:
        """Adds summaries of lanes that ran side by side: their time counts once."""
        for summary in summaries:
            self.take(summary)
        self.seconds += max((int(each["elapsed_ns"]) for each in summaries), default=0) / 1e9

    @property
    def losses(self) -> int:
        """Kicks lost, wherever they landed."""
        return sum(self.lost.values())

    @property
    def rate(self) -> float:
        """Kicks a second, of all lanes together."""
        return self.kicks / self.seconds if self.seconds else 0.0

    @property
    def bound(self) -> float:
        """With 95 % confidence a kick is lost no more often than this; 1.0 without a kick."""
        return upper_bound(self.losses, self.kicks)


def summaries_in(value: object) -> Iterator[dict[str, Any]]:
    """Every summary in a journal's line, wherever it stands."""
    if isinstance(value, dict):
        if all(name in value for name in _NEEDED):
            yield value
            return
        for each in value.values():
            yield from summaries_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from summaries_in(each)


def lines(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a journal, one at a time; a last line that is torn is left out.

    Raises `RaceResultsError` for a line before the last that is no JSON object or contradicts those
    before it, as a run's journal does, and OSError.
    """
    ended = False
    for number, entry in enumerate(json_lines.read(path, RaceResultsError), start=1):
        event = entry.get("event")
        if ended or (event in _FIRST and number > 1):
            raise RaceResultsError(f"{path}, line {number}: {event!r} does not follow these lines")
        ended = event == "end"
        yield entry


@dataclass
class RaceResults:
    """What a journal says about races: a tally a protocol, and the host's properties."""

    tallies: dict[str, Tally]
    environment: dict[str, str]


def read(path: Path) -> RaceResults:
    """Adds up all summaries of a journal. Raises `RaceResultsError` and OSError."""
    results = RaceResults({}, {})
    for number, entry in enumerate(lines(path), start=1):
        environment = entry.get("environment")
        if isinstance(environment, dict):
            results.environment = {str(key): str(value) for key, value in environment.items()}
        try:
            for summary in summaries_in(entry):
                protocol = str(summary["plan"]["protocol"])
                tally = results.tallies.setdefault(protocol, Tally())
                tally.take(summary)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise RaceResultsError(f"{path}, line {number}: {error}") from error
    return results
