# SPDX-License-Identifier: GPL-2.0-only
"""A matrix as one JUnit file: a testsuite a kernel."""

from __future__ import annotations

import platform
from collections.abc import Iterable

from junit_xml import TestSuite

from harness.reporting.journal import Journal
from lab.launch import junit
from lab.launch.exit_codes import Exit
from lab.matrix.result import Column, Matrix


def render(matrix: Matrix) -> str:
    """The file. A kernel that could not be had or was lost has errors in it."""
    expected: dict[str, str] = {}
    for column in matrix.columns:
        expected |= column.journal.planned
    room = junit.ROOM // len(matrix.columns)
    return junit.text([_suite(each, expected, room) for each in matrix.columns])


def _suite(column: Column, expected: dict[str, str], room: int) -> TestSuite:
    journal = column.journal
    if column.cut_short and column.started:
        # It may be gone before it said what it would run: then the others' tests are not run.
        journal = Journal(**{**vars(journal), "planned": {**expected, **journal.planned}})
    journal.environment.update(_about(column))
    return junit.suite(
        journal,
        name=column.entry.label,
        prefix=f"{column.entry.label}.",
        troubles=list(_troubles(column)),
        room=room,
        hostname=platform.node(),
        timestamp=column.started.partition(".")[0] or None,
    )


def _about(column: Column) -> dict[str, str]:
    """Properties of the kernel's run beside those of its host."""
    about = {
        "matrix_kernel": column.entry.kernel,
        "matrix_release": column.release,
        "matrix_verdict": column.verdict,
        "matrix_why": column.why,
        "matrix_cpus": str(column.entry.cpus),
        "matrix_memory": column.entry.memory,
    }
    return {name: value for name, value in about.items() if value}


def _troubles(column: Column) -> Iterable[str]:
    """A sentence where the results alone do not say that something is wrong."""
    if column.code in (Exit.HELD, Exit.NOTHING_TESTED):
        return
    if column.code is Exit.FAILED and column.journal.exit_status is not None:
        return
    yield column.why or f"{column.verdict}: the run did not come to its end"
