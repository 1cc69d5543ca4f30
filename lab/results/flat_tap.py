# SPDX-License-Identifier: GPL-2.0-only
"""TAP without nesting: a result a test. Two dialects, for two kinds of consumers.

`kselftest` is what the kernel's own selftests print (tools/testing/selftests/kselftest.h): run_kselftest.sh,
Linaro's test-definitions and openQA's KTAP parser take it. `tap` has no line of a version, for the
first line of openQA's TAP parser is a file's name; prove, tap.py and Avocado take it as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lab.results import names, tap_lines
from lab.results.found import FoundSuite, FoundTest, Status, named


def kselftest(suites: Sequence[FoundSuite]) -> str:
    """The file; at its end the totals, as the kernel's tests have them."""
    tests = named(suites)
    counts = [sum(each.status is status for _, each in tests) for status in Status]
    passed, skipped, failed, error, missed = counts
    totals = (
        f"# Totals: pass:{passed} fail:{failed} xfail:0 xpass:0 skip:{skipped} "
        f"error:{error + missed}"
    )
    return _text(["TAP version 13", f"1..{len(tests)}", *_results(tests), totals])


def tap(suites: Sequence[FoundSuite]) -> str:
    """The file. Behind SKIP stands its reason; the plan at the end, for tap.py wants it at one."""
    tests = named(suites)
    first = f"{names.word(suites[0].name)}.tap .."
    return _text([first, *_results(tests, reasons=True), f"1..{len(tests)}"])


def _results(tests: Sequence[tuple[str, FoundTest]], *, reasons: bool = False) -> Iterator[str]:
    for number, (title, test) in enumerate(tests, start=1):
        yield from tap_lines.words_of(test)
        # Linaro's parser takes what stands behind SKIP for a part of the name.
        words = names.word(test.reason) if reasons and test.reason else ""
        yield tap_lines.result(number, title, test.status, words)


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
