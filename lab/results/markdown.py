# SPDX-License-Identifier: GPL-2.0-only
"""Markdown for people: what failed first, then a line a claim."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lab.results import names
from lab.results.found import FoundClaim, FoundSuite, FoundTest, Status, counted

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~-])")


def render(suites: Sequence[FoundSuite]) -> str:
    """The file."""
    return "\n".join(line for suite in suites for line in _suite(suite)) + "\n"


def text(said: str) -> str:
    """A sentence of a file or a kernel, that is nothing but a sentence."""
    return _SPECIAL.sub(r"\\\1", names.sentence(said))


def _suite(suite: FoundSuite) -> Iterator[str]:
    yield f"# {text(suite.name)}"
    yield ""
    if kernel := suite.environment.get("kernel"):
        yield f"{text(kernel)}, {text(suite.environment.get('tier', ''))}"
        yield ""
    yield counted(suite.tests())
    yield ""
    for status in (Status.FAILED, Status.ERROR, Status.MISSED):
        yield from _bad(suite, status)
    yield "| claim | | tests |"
    yield "| --- | --- | --- |"
    for claim in suite.claims:
        word = claim.state or claim.status.value
        yield f"| {text(claim.name)} | {word} | {text(_told(claim))} |"
    yield ""


def _told(claim: FoundClaim) -> str:
    """How many of its tests did what, and the words of those that were skipped."""
    told = counted(claim.tests)
    reasons = dict.fromkeys(test.reason for test in claim.tests if test.reason)
    return f"{told} ({', '.join(reasons)})" if reasons else told


def _known(test: FoundTest) -> str:
    return f" **{text(test.issue.name_it())}** <{test.issue.link}>" if test.issue else ""


def _bad(suite: FoundSuite, status: Status) -> Iterator[str]:
    found = [each for each in suite.tests() if each.status is status]
    if not found:
        return
    yield f"## {status.value.capitalize()}"
    yield ""
    yield from (f"- {text(each.name)}: {text(each.message)}{_known(each)}" for each in found)
    yield ""
