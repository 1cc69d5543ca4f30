# SPDX-License-Identifier: GPL-2.0-only
"""KTAP (Documentation/dev-tools/ktap.rst), nested: a claim a subtest. For kunit.py parse.

Linaro's and openQA's parsers lose what is nested: for them there is `kselftest`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from lab.results import names, tap_lines
from lab.results.found import FoundClaim, FoundSuite, Status

_VERSION = "KTAP version 1"


def render(suites: Sequence[FoundSuite]) -> str:
    """The file. Of several suites each is a subtest with its claims below it."""
    if len(suites) == 1:
        lines = _claims(suites[0].claims)
    else:
        titles = names.apart(suite.name for suite in suites)
        lines = _block(
            (title, suite.status, _claims(suite.claims))
            for title, suite in zip(titles, suites, strict=True)
        )
    return "".join(f"{line}\n" for line in lines)


def _claims(claims: Sequence[FoundClaim]) -> list[str]:
    titles = names.apart(claim.name for claim in claims)
    return _block(
        (title, claim.status, _tests(claim)) for title, claim in zip(titles, claims, strict=True)
    )


def _tests(claim: FoundClaim) -> list[str]:
    titles = names.apart(test.name for test in claim.tests)
    lines = [_VERSION, f"1..{len(claim.tests)}"]
    for number, (title, test) in enumerate(zip(titles, claim.tests, strict=True), start=1):
        lines += tap_lines.words_of(test)
        lines.append(tap_lines.result(number, title, test.status, names.word(test.reason or "-")))
    return lines


def _block(parts: Iterable[tuple[str, Status, list[str]]]) -> list[str]:
    """Subtests, one after the other, each with its result behind it."""
    listed = list(parts)
    return [_VERSION, f"1..{len(listed)}", *_indented(listed)]


def _indented(parts: Sequence[tuple[str, Status, list[str]]]) -> Iterator[str]:
    for number, (title, status, lines) in enumerate(parts, start=1):
        yield from (f"  {line}" for line in lines)
        yield tap_lines.result(number, title, status)
