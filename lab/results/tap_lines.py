# SPDX-License-Identifier: GPL-2.0-only
"""Lines that TAP, KTAP (Documentation/dev-tools/ktap.rst) and kselftest have in common."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lab.results import names
from lab.results.found import FoundTest, Status

#: What some parsers take for a result, wherever it stands in a line.
_LIKE_A_RESULT = re.compile(r"\bok (?=\d)")


def diagnostic(text: str) -> str:
    """A line of words for people, which stands before the result that it is about."""
    return f"# {_LIKE_A_RESULT.sub('ok: ', names.sentence(text))}".rstrip()


def result(number: int, called: str, status: Status, words: str = "") -> str:
    """A result; `words` stand behind the directive of one that is neither ok nor failed."""
    ok = "not ok" if status.bad else "ok"
    directive = {Status.SKIPPED: "SKIP", Status.ERROR: "ERROR", Status.MISSED: "ERROR"}.get(status)
    said = f"{ok} {number} {called}"
    return f"{said} # {directive} {words}".rstrip() if directive else said


def words_of(test: FoundTest) -> Iterator[str]:
    """What there is to say of one that did not pass."""
    if test.status is Status.SKIPPED:
        yield diagnostic(f"{test.reason}: {test.message}")
    elif test.status.bad:
        yield diagnostic(test.message or test.status.value)
        if test.issue:
            yield diagnostic(test.issue.name_it())
