# SPDX-License-Identifier: GPL-2.0-only
"""Medians, spread, and intervals that assume nothing about the shape of the noise."""

from __future__ import annotations

import functools
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

#: The interval leaves out 1 in 40 on each side: 95 % are inside.
_ONE_IN = 40


@dataclass(frozen=True)
class Spread:
    """Some values: `mad` is the median distance from the median, the rest is in order of size."""

    count: int
    minimum: float
    lower_quartile: float
    median: float
    upper_quartile: float
    mad: float


@dataclass(frozen=True)
class Estimate:
    """A median with an interval that holds the true one in at least 95 of 100 runs.

    `low` and `high` are None when there are too few values (fewer than 6) for such an interval.
    """

    count: int
    median: float
    low: float | None
    high: float | None


def summarize(values: Sequence[float]) -> Spread:
    """Raises ValueError without values."""
    if not values:
        raise ValueError("no values")
    median = statistics.median(values)
    if len(values) > 1:
        lower, _, upper = statistics.quantiles(values, n=4, method="inclusive")
    else:
        lower = upper = median
    return Spread(
        count=len(values),
        minimum=min(values),
        lower_quartile=lower,
        median=median,
        upper_quartile=upper,
        mad=statistics.median(abs(value - median) for value in values),
    )


def estimate(values: Sequence[float]) -> Estimate:
    """The median and its interval from order statistics (the sign test's). ValueError if empty.

    A value lies below the true median with probability 1/2, so the number of values below it is
    binomial: the k-th smallest and the k-th largest enclose it, where P(number < k) <= 2.5 %.
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    rank = _rank(len(ordered))
    return Estimate(
        count=len(ordered),
        median=statistics.median(ordered),
        low=ordered[rank - 1] if rank else None,
        high=ordered[-rank] if rank else None,
    )


@functools.cache
def _rank(count: int) -> int:
    """The largest k with P(Binomial(count, 1/2) < k) <= 2.5 %, 1 in 40; 0 if there is none."""
    below, term, rank = 0, 1, 0  # in whole numbers: 2**count has no float beyond 1,023
    while (below + term) * _ONE_IN <= 1 << count:
        below += term
        term = term * (count - rank) // (rank + 1)
        rank += 1
    return rank


def ratio(above: Mapping[int, float], below: Mapping[int, float]) -> Estimate | None:
    """above / below, paired by round, for the rounds that have both; None if there is none."""
    pairs = [above[number] / below[number] for number in above if number in below]
    return estimate(pairs) if pairs else None


def difference(above: Mapping[int, float], below: Mapping[int, float]) -> Estimate | None:
    """above - below, paired by round, for the rounds that have both; None if there is none."""
    pairs = [above[number] - below[number] for number in above if number in below]
    return estimate(pairs) if pairs else None
