# SPDX-License-Identifier: GPL-2.0-only
"""The two formulas of the verdicts that scipy knows. It is slow to import, and seldom needed.

OpenBLAS, which comes with it, starts a thread for each processor when it is loaded, and ends none:
a test of a race would leave them behind, and nothing here needs them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_THREADS = "OPENBLAS_NUM_THREADS"


@contextmanager
def _without_threads() -> Iterator[None]:
    """For what is imported meanwhile."""
    before = os.environ.get(_THREADS)
    os.environ[_THREADS] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_THREADS]
        else:
            os.environ[_THREADS] = before


def clopper_pearson(losses: int, kicks: int, confidence: float) -> float:
    """The upper bound of a probability, of which so many losses in so many kicks were seen."""
    if losses == kicks:
        return 1.0
    with _without_threads():
        from scipy.special import betaincinv
    return float(betaincinv(losses + 1, kicks - losses, confidence))


def fisher_exact(late: tuple[int, int], in_time: tuple[int, int]) -> float:
    """How likely a first sample with so large a share of late ones is, were both samples alike.

    Fisher's exact test, one-sided; each pair is the counts of the two samples.
    """
    with _without_threads():
        from scipy import stats
    return float(stats.fisher_exact([late, in_time], alternative="greater")[1])
