# SPDX-License-Identifier: GPL-2.0-only
"""A mutation as what was found: a suite a kernel, a chapter of mutants a claim, a mutant a test.

A survivor has failed, and so has a mutant that other claims killed than those foretold; what could
not be judged is an error; what was not run is skipped, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.shapes import shaped
from lab.campaign.state import told_kernels
from lab.launch.exit_codes import Exit
from lab.mutation.judge import Fate
from lab.mutation.result import Cell, KillColumn, KillMatrix
from lab.results import names
from lab.results.found import FoundClaim, FoundSuite, FoundTest, Status

#: What `read` takes, in the folder of a mutation.
MUTATION = "mutate.json"
_STOCK = "stock"
_NO_DEFECT = "the stock KVM, which has no defect"


def suites(found: KillMatrix) -> list[FoundSuite]:
    """In the order of the kernels."""
    return [_suite(each) for each in found.columns]


def _suite(column: KillColumn) -> FoundSuite:
    chapters: dict[str, list[FoundTest]] = {}
    for cell in column.cells:
        chapter = cell.mutant.chapter if cell.mutant else _STOCK
        chapters.setdefault(chapter, []).append(_test(cell))
    return _suite_of(column.source.label, column.source.release, chapters)


def _suite_of(label: str, release: str, chapters: Mapping[str, list[FoundTest]]) -> FoundSuite:
    return FoundSuite(
        f"mutants.{names.word(label)}",
        tuple(FoundClaim(name, "", tuple(tests)) for name, tests in chapters.items()),
        {"kernel": release, "source": label},
    )


def _test(cell: Cell) -> FoundTest:
    defect = cell.mutant.defect if cell.mutant else _NO_DEFECT
    return _found(cell.name, cell.judged.outcome, cell.judged.why, defect, cell.seconds)


def _found(name: str, outcome: Fate, why: str, defect: str, seconds: float) -> FoundTest:
    status = Status.ERROR
    if outcome in (Fate.EQUIVALENT, Fate.LEFT_OUT):
        status = Status.SKIPPED
    elif outcome.code is Exit.FAILED:
        status = Status.FAILED
    elif outcome.code is Exit.HELD:
        status = Status.PASSED
    return FoundTest(
        name.replace(".", "_"),
        status,
        reason=names.word(outcome.value) if status is Status.SKIPPED else "",
        message=f"{outcome.value}: {why}" if why else outcome.value,
        detail=defect,
        seconds=seconds,
    )


@dataclass(frozen=True)
class _Mutant:
    id: str
    outcome: Fate
    why: str = ""
    chapter: str = _STOCK
    defect: str = _NO_DEFECT
    seconds: float = 0.0


@dataclass(frozen=True)
class _Kernel:
    release: str
    label: str
    results: list[dict[str, Any]]


def read(file: Path) -> list[FoundSuite]:
    """The same of a mutate.json (lab/mutation/result.py). Raises `ShapeError` and OSError."""
    found = []
    for kernel in told_kernels(file, _Kernel):
        chapters: dict[str, list[FoundTest]] = {}
        for each in (shaped(result, _Mutant, others=True) for result in kernel.results):
            test = _found(each.id, each.outcome, each.why, each.defect, each.seconds)
            chapters.setdefault(each.chapter, []).append(test)
        label, release = names.sentence(kernel.label), names.sentence(kernel.release)
        found.append(_suite_of(label, release, chapters))
    return found
