# SPDX-License-Identifier: GPL-2.0-only
"""A mutation as what was found: a suite a kernel, a chapter of mutants a claim, a mutant a test.

A survivor has failed, and so has a mutant that other claims killed than those foretold; what could
not be judged is an error; what was not run is skipped, with the reason.
"""

from __future__ import annotations

from lab.launch.exit_codes import Exit
from lab.mutation.judge import Fate
from lab.mutation.result import Cell, KillColumn, KillMatrix
from lab.results import names
from lab.results.found import FoundClaim, FoundSuite, FoundTest, Status

_STOCK = "stock"


def suites(found: KillMatrix) -> list[FoundSuite]:
    """In the order of the kernels."""
    return [_suite(each) for each in found.columns]


def _suite(column: KillColumn) -> FoundSuite:
    chapters: dict[str, list[FoundTest]] = {}
    for cell in column.cells:
        chapter = cell.mutant.chapter if cell.mutant else _STOCK
        chapters.setdefault(chapter, []).append(_test(cell))
    return FoundSuite(
        f"mutants.{names.word(column.source.label)}",
        tuple(FoundClaim(name, "", tuple(tests)) for name, tests in chapters.items()),
        {"kernel": column.source.release, "source": column.source.label},
    )


def _test(cell: Cell) -> FoundTest:
    outcome, why = cell.judged.outcome, cell.judged.why
    status = Status.ERROR
    if outcome in (Fate.EQUIVALENT, Fate.LEFT_OUT):
        status = Status.SKIPPED
    elif outcome.code is Exit.FAILED:
        status = Status.FAILED
    elif outcome.code is Exit.HELD:
        status = Status.PASSED
    return FoundTest(
        cell.name.replace(".", "_"),
        status,
        reason=names.word(outcome.value) if status is Status.SKIPPED else "",
        message=f"{outcome.value}: {why}" if why else outcome.value,
        detail=cell.mutant.defect if cell.mutant else "the stock KVM, which has no defect",
        seconds=cell.seconds,
    )
