# SPDX-License-Identifier: GPL-2.0-only
"""The two formulas of the verdicts: an upper bound of a probability, and a test of two samples.

By hand, for a run of the suites needs nothing else of scipy, which is large, slow to import, and
starts threads that a test of a race would leave behind. Both are sums of probabilities, each of
which is the one before it times a short factor. The first one is computed as in C. Loader, "Fast
and Accurate Computation of Binomial Probabilities" (2000): in a difference of logarithms of
factorials the digits that matter would cancel out. For up to ten million kicks results are off by
less than 1e-11 of themselves, and take some hundredths of a second at most.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

_NEGLIGIBLE = 1e-17  # of a sum
_CONVERGED = 1e-13  # of the bound


def clopper_pearson(losses: int, kicks: int, confidence: float) -> float:
    """The upper bound of a probability, of which so many losses in so many kicks were seen.

    If it were the probability, so few losses would be seen with the probability 1 - `confidence`.
    The logarithm of that is concave, so Newton's steps close in on it from one side.
    """
    if losses >= kicks:
        return 1.0
    aim = math.log1p(-confidence)
    bound = losses / kicks
    while True:
        fewer = (k * (1 - bound) / ((kicks - k + 1) * bound) for k in range(losses, 0, -1))
        terms = _sum(fewer)  # in units of the first
        excess = math.log(terms) + _log_binomial(losses, kicks, bound) - aim
        step = excess * (1 - bound) * terms / (kicks - losses)
        if abs(step) <= _CONVERGED * bound:
            return bound + step
        bound = min(bound + step, (bound + 1) / 2)


def fisher_exact(late: tuple[int, int], in_time: tuple[int, int]) -> float:
    """How likely a first sample with so large a share of late ones is, were both samples alike.

    Fisher's exact test, one-sided; each pair is the counts of the two samples.
    """
    seen, all_late = late[0], sum(late)
    first, second = late[0] + in_time[0], late[1] + in_time[1]
    least = max(0, all_late - second)
    if seen == least:
        return 1.0

    def log_of(k: int) -> float:
        share = all_late / (first + second)
        return (
            _log_binomial(k, first, share)
            + _log_binomial(all_late - k, second, share)
            - _log_binomial(all_late, first + second, share)
        )

    def growth(k: int) -> float:
        """What is k + 1 late ones in the first sample to k?"""
        return (all_late - k) * (first - k) / ((k + 1) * (second - all_late + k + 1))

    # From there away from what is expected, where the probabilities fall.
    if seen * (first + second) > first * all_late:
        return math.exp(log_of(seen)) * _sum(map(growth, itertools.count(seen)))
    fewer = (1 / growth(k) for k in range(seen - 2, least - 1, -1))
    return 1 - math.exp(log_of(seen - 1)) * _sum(fewer)


def _sum(factors: Iterable[float]) -> float:
    """1 + the first factor + the first two, multiplied, and so on, as far as it matters."""
    total = term = 1.0
    for factor in factors:
        term *= factor
        total += term
        if term < total * _NEGLIGIBLE:
            break
    return total


def _log_binomial(hits: int, tries: int, chance: float) -> float:
    """The logarithm of the probability of so many hits."""
    misses = tries - hits
    if hits == 0:
        return misses * math.log1p(-chance)
    if misses == 0:
        return hits * math.log(chance)
    surplus = hits - tries * chance
    return (
        0.5 * math.log(tries / (2 * math.pi * hits * misses))
        + (_beyond_stirling(tries) - _beyond_stirling(hits) - _beyond_stirling(misses))
        - hits * math.log1p(surplus / (tries * chance))
        - misses * math.log1p(-surplus / (tries * (1 - chance)))
    )


def _beyond_stirling(n: int) -> float:
    """The logarithm of n! less that of Stirling's formula."""
    if n < 16:
        return math.log(math.factorial(n)) - 0.5 * math.log(2 * math.pi * n) - n * math.log(n) + n
    return (1 / 12 - (1 / 360 - (1 / 1260 - 1 / 1680 / n**2) / n**2) / n**2) / n
