# SPDX-License-Identifier: GPL-2.0-only
"""The formulas of the verdicts, against the definitions and against scipy."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator
from fractions import Fraction
from math import comb

import pytest

from harness.kick.statistics import clopper_pearson, fisher_exact

#: scipy's own results are off by up to 3e-9, seen against 60 digits.
AGREES = 5e-9
MANY = 10_000_000


@pytest.fixture(autouse=True, scope="module")
def no_threads() -> Iterator[None]:
    """OpenBLAS, which comes with scipy, would start one a processor, and other tests count them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "OPENBLAS_NUM_THREADS", "1")
        import scipy.stats  # noqa: F401

        yield


def bounds() -> Iterator[tuple[int, int]]:
    """Losses and kicks: none, few, half, all but few, and a thousand that are drawn."""
    for kicks in (1, 2, 3, 10, 43, 1000, 100_000, MANY):
        for losses in {0, 1, 2, 15, 16, 17, kicks // 1000, kicks // 2, kicks - 2, kicks - 1, kicks}:
            if 0 <= losses <= kicks:
                yield losses, kicks
    drawn = random.Random(1)
    for _ in range(1000):
        kicks = drawn.randint(1, 10 ** drawn.randint(1, 6))
        yield drawn.randint(0, kicks), kicks


def tables() -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Samples of one to ten million: any, and those whose shares nearly agree."""
    drawn = random.Random(1)

    def size() -> int:
        return drawn.randint(0, 10 ** drawn.randint(0, 7))

    for _ in range(300):
        yield (size(), size()), (size(), size())
        first, second, share = size(), size(), drawn.random() ** 3
        late = (_near(first, share, drawn), _near(second, share, drawn))
        yield late, (first - late[0], second - late[1])


def _near(of: int, share: float, drawn: random.Random) -> int:
    spread = math.sqrt(of * share * (1 - share))
    return min(of, max(0, round(drawn.gauss(of * share, 2 * spread))))


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999999])
def test_the_bound_is_that_of_scipy(confidence: float) -> None:
    from scipy.special import betaincinv

    for losses, kicks in bounds():
        bound = clopper_pearson(losses, kicks, confidence)
        known = betaincinv(losses + 1, kicks - losses, confidence) if losses < kicks else 1
        assert bound == pytest.approx(known, rel=AGREES, abs=0), (losses, kicks)


def test_the_chance_of_two_samples_is_that_of_scipy() -> None:
    from scipy import stats

    for late, in_time in tables():
        known = stats.fisher_exact([late, in_time], alternative="greater")[1]
        assert fisher_exact(late, in_time) == pytest.approx(known, rel=AGREES, abs=0), (
            late,
            in_time,
        )


@pytest.mark.parametrize(("losses", "kicks"), [(0, 1), (1, 100), (20, 43), (42, 43), (200, 400)])
def test_the_bound_is_where_so_few_losses_have_five_percent(losses: int, kicks: int) -> None:
    bound = clopper_pearson(losses, kicks, 0.95)
    exact = Fraction(bound)
    so_few = sum(comb(kicks, k) * exact**k * (1 - exact) ** (kicks - k) for k in range(losses + 1))
    assert float(so_few) == pytest.approx(0.05, rel=1e-11)


@pytest.mark.parametrize("kicks", [0, 7, MANY])
def test_the_bound_when_all_are_lost(kicks: int) -> None:
    assert clopper_pearson(kicks, kicks, 0.95) == 1


def test_the_bound_when_none_is_lost() -> None:
    assert clopper_pearson(0, MANY, 0.95) == pytest.approx(
        -math.expm1(math.log(0.05) / MANY), 1e-13
    )


@pytest.mark.parametrize(
    ("late", "in_time"),
    [
        ((5, 0), (5, 100)),
        ((5, 5), (100, 20)),
        ((9, 3), (991, 997)),
        ((3, 9), (997, 991)),
        ((900, 100), (2100, 2900)),
    ],
)
def test_fisher_counts_the_tables_that_are_as_extreme(
    late: tuple[int, int], in_time: tuple[int, int]
) -> None:
    first, second = late[0] + in_time[0], late[1] + in_time[1]
    all_late = sum(late)
    as_extreme = sum(
        comb(first, k) * comb(second, all_late - k)
        for k in range(late[0], min(first, all_late) + 1)
    )
    exact = float(Fraction(as_extreme, comb(first + second, all_late)))
    assert fisher_exact(late, in_time) == pytest.approx(exact, rel=1e-11, abs=0)


@pytest.mark.parametrize(
    ("late", "in_time"), [((0, 0), (0, 0)), ((0, 0), (5, 9)), ((5, 9), (0, 0)), ((0, 3), (0, 9))]
)
def test_samples_that_cannot_differ_are_alike(
    late: tuple[int, int], in_time: tuple[int, int]
) -> None:
    assert fisher_exact(late, in_time) == 1
