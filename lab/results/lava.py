# SPDX-License-Identifier: GPL-2.0-only
"""LAVA: lines for a results file (test-definitions' send-to-lava.sh), and LAVA's own signals.

Names have no white space and no brackets; what is none of LAVA's pass, fail and skip is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lab.results.found import FoundSuite, Status, named

_RESULT = {
    Status.PASSED: "pass",
    Status.SKIPPED: "skip",
    Status.FAILED: "fail",
    Status.ERROR: "unknown",
    Status.MISSED: "unknown",
}


def results(suites: Sequence[FoundSuite]) -> str:
    """`name result`, a line each."""
    return "".join(f"{name} {result}\n" for name, result in _tests(suites))


def signals(suites: Sequence[FoundSuite]) -> str:
    """What a job prints; LAVA reads it from the console."""
    return "".join(
        f"<LAVA_SIGNAL_TESTCASE TEST_CASE_ID={name} RESULT={result}>\n"
        for name, result in _tests(suites)
    )


def _tests(suites: Sequence[FoundSuite]) -> Iterator[tuple[str, str]]:
    for title, test in named(suites):
        yield title, _RESULT[test.status]
