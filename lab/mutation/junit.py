# SPDX-License-Identifier: GPL-2.0-only
"""A mutation as one JUnit file: a testsuite a kernel, a testcase a mutant.

A survivor is a failure, and so is a mutant that other claims killed than those foretold; what could
not be judged is an error; what was not run is skipped, with the reason.
"""

from __future__ import annotations

import re

from junit_xml import TestCase, TestSuite

from lab.launch import junit
from lab.launch.exit_codes import Exit
from lab.mutation.judge import Fate
from lab.mutation.result import Cell, KillColumn, KillMatrix


def render(found: KillMatrix) -> str:
    """The file."""
    return junit.text([_suite(each) for each in found.columns])


def _suite(column: KillColumn) -> TestSuite:
    label = re.sub(r"[^a-z0-9]+", "_", column.source.label.lower()).strip("_")
    return TestSuite(
        f"mutants.{label}",
        [_case(each, f"mutants.{label}") for each in column.cells],
        properties={"kernel": column.source.release, "source": column.source.label},
    )


def _case(cell: Cell, classname: str) -> TestCase:
    place = f"{classname}.{cell.mutant.chapter}" if cell.mutant else classname
    case = TestCase(cell.name.replace(".", "_"), place, elapsed_sec=max(cell.seconds, 1e-6))
    outcome, why = cell.judged.outcome, junit.clean(cell.judged.why)
    message = f"{outcome.value}: {why}" if why else outcome.value
    defect = cell.mutant.defect if cell.mutant else "the stock KVM, which has no defect"
    if outcome in (Fate.EQUIVALENT, Fate.LEFT_OUT):
        case.add_skipped_info(message=message)
    elif outcome.code is Exit.FAILED:
        case.add_failure_info(message=message, output=defect, failure_type=outcome.value)
    elif outcome.code is not Exit.HELD:
        case.add_error_info(message=message, output=defect)
    return case
