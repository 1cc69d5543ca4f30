# SPDX-License-Identifier: GPL-2.0-only
"""What scipy computes for the verdicts, against the definitions; and that it leaves no thread."""

from __future__ import annotations

import os
import subprocess
import sys
from math import comb
from pathlib import Path

import pytest

from harness.kick.statistics import clopper_pearson, fisher_exact

# Prints how many threads the two have left, and what became of the variable that prevents them.
PROGRAM = """
import os
from harness.kick.statistics import clopper_pearson, fisher_exact

before = len(os.listdir("/proc/self/task"))
clopper_pearson(1, 100, 0.95)
fisher_exact((5, 0), (5, 100))
print(len(os.listdir("/proc/self/task")) - before, os.environ.get("OPENBLAS_NUM_THREADS"))
"""


@pytest.mark.parametrize(("losses", "kicks"), [(1, 100), (20, 43), (42, 43)])
def test_the_bound_is_where_so_few_losses_have_five_percent(losses: int, kicks: int) -> None:
    bound = clopper_pearson(losses, kicks, 0.95)
    so_few = sum(comb(kicks, k) * bound**k * (1 - bound) ** (kicks - k) for k in range(losses + 1))
    assert so_few == pytest.approx(0.05)


def test_the_bound_when_all_are_lost() -> None:
    assert clopper_pearson(7, 7, 0.95) == 1


@pytest.mark.parametrize(
    ("late", "in_time"), [((5, 0), (5, 100)), ((5, 5), (100, 20)), ((9, 3), (991, 997))]
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
    assert fisher_exact(late, in_time) == pytest.approx(as_extreme / comb(first + second, all_late))


def test_nothing_is_left_behind() -> None:
    """A test of a race would be said to have left threads, also on a sound kernel."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={name: value for name, value in os.environ.items() if "_NUM_THREADS" not in name},
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["0", "None"]
