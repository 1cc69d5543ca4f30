# SPDX-License-Identifier: GPL-2.0-only
"""Adds summaries of races up, in memory that does not grow with their number.

Works on the dictionaries of `Summary.as_json`, so that a soak that runs and a journal that is
read are added up by the same lines.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import files
from harness.kick.plan import LANDINGS
from harness.kick.summary import upper_bound
from harness.reporting.journal import decoded

LANDING_WORDS = tuple(landing.value for landing in LANDINGS)
_LONGEST_LINE = 64 << 20
#: Of a soak's journal, and of a run's.
_FIRST = ("soak", "session")
_NEEDED = ("plan", "kicks", "landings", "latency")


class RaceResultsError(ValueError):
    """The file or folder holds no results that can be used; the sentence says why."""


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
            landings = _counts(summary["landings"])
            latency = {int(bucket): _whole(n) for bucket, n in summary["latency"].items()}
            lost, late = _counts(summary.get("lost", {})), _counts(summary.get("late", {}))
            kicks = _whole(summary["kicks"])
            others = {name: _whole(summary.get(name, 0)) for name in _OTHERS}
            error = _whole(summary.get("last_error", 0))
        except (KeyError, TypeError, AttributeError, OverflowError) as damage:
            raise ValueError(f"a damaged summary ({damage!r})") from damage
        if any(not 0 <= bucket < 64 for bucket in latency):
            raise ValueError("a damaged summary (numbers out of range)")
        self.kicks += kicks
        self.landings.update(landings)
        self.lost.update(lost)
        self.late.update(late)
        self.latency.update(latency)
        for name, value in others.items():
            setattr(self, name, getattr(self, name) + value)
        self.last_error = error or self.last_error

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


_OTHERS = ("preempted", "spurious", "unexpected", "swallowed")


def _counts(found: Mapping[str, Any]) -> dict[str, int]:
    return {str(key): _whole(value) for key, value in found.items()}


def _whole(value: object) -> int:
    """A count: text, a fraction or a truth in its place is damage."""
    if type(value) is not int or value < 0:
        raise ValueError(f"a damaged summary ({value!r:.40} is no count)")
    return value


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
    with os.fdopen(files.open_regular(path), "rb") as file:
        number, ended = 0, False
        while line := file.readline(_LONGEST_LINE):
            number += 1
            if not line.endswith(b"\n"):
                if len(line) < _LONGEST_LINE:
                    return
                raise RaceResultsError(f"{path}, line {number}: too long for a journal's line")
            try:
                entry = decoded(line)
            except (ValueError, RecursionError):
                entry = None
            if not isinstance(entry, dict):
                raise RaceResultsError(f"{path}, line {number}: damaged, not a line of a journal")
            event = entry.get("event")
            if ended or (event in _FIRST and number > 1):
                raise RaceResultsError(
                    f"{path}, line {number}: {event!r} does not follow these lines"
                )
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
