# SPDX-License-Identifier: GPL-2.0-only
"""A matrix as what was found: a suite a kernel, also of one that could not be had or was lost."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from harness.claims import Claim
from harness.reporting.journal import Journal
from lab.campaign.state import told_kernels
from lab.launch.exit_codes import Exit
from lab.matrix.result import Column, Matrix
from lab.results import names
from lab.results.found import FoundSuite, of_journal, of_nothing

#: What `without_results` takes, in the folder of a matrix.
MATRIX = "matrix.json"


def suites(matrix: Matrix, claims: Mapping[str, Claim]) -> list[FoundSuite]:
    """In the list's order."""
    expected: dict[str, str] = {}
    for column in matrix.columns:
        expected |= column.journal.planned
    return [_suite(each, expected, claims) for each in matrix.columns]


def _suite(column: Column, expected: dict[str, str], claims: Mapping[str, Claim]) -> FoundSuite:
    journal = column.journal
    if column.cut_short and column.started:
        # It may be gone before it said what it would run: then the others' tests are not run.
        journal = Journal(**{**vars(journal), "planned": {**expected, **journal.planned}})
    suite = of_journal(
        journal,
        claims,
        name=column.entry.label,
        troubles=list(_troubles(column)),
        place=column.folder if journal.has_session else None,
    )
    return dataclasses.replace(
        suite,
        environment={**suite.environment, **_about(column)},
        host=platform.node(),
        began=column.started,
    )


def _about(column: Column) -> dict[str, str]:
    """Properties of the kernel's run beside those of its host."""
    about = {
        "matrix_kernel": column.entry.kernel,
        "matrix_arch": column.entry.arch,
        "matrix_release": column.release,
        "matrix_verdict": column.verdict,
        "matrix_why": column.why,
        "matrix_cpus": str(column.entry.cpus),
        "matrix_memory": column.entry.memory,
    }
    return {name: value for name, value in about.items() if value}


def _troubles(column: Column) -> Iterable[str]:
    """A sentence where the results alone do not say that something is wrong."""
    if column.unset:
        yield not_judged(column.why)
        return
    if column.code in (Exit.HELD, Exit.NOTHING_TESTED):
        return
    journal = column.journal
    if column.code is Exit.FAILED and journal.accuses and journal.exit_status is not None:
        return
    yield column.why or f"{column.verdict}: the run did not come to its end"


def not_judged(unset: str) -> str:
    """Of a kernel whose parameters were not in force (`result.not_in_force`)."""
    return f"nothing was judged: {unset}"


@dataclasses.dataclass(frozen=True)
class _Kernel:
    label: str
    verdict: str
    why: str = ""


def without_results(file: Path, there: Collection[str]) -> list[FoundSuite]:
    """The kernels of a matrix.json (lab/matrix/result.py) that are not `there`, by their labels.

    They could not be had, or were lost before they had a journal. Raises `ShapeError` and OSError.
    """
    return [
        dataclasses.replace(
            of_nothing(f"{each.verdict}: {each.why}" if each.why else each.verdict),
            name=names.word(each.label),
        )
        for each in told_kernels(file, _Kernel)
        if each.label not in there
    ]
