# SPDX-License-Identifier: GPL-2.0-only
"""--expect: a run held against its baseline when it is over, in words, properties and code.

It makes no run better: what is known to fail still fails. It tells where a host tests less than it
is known for, which the verdict alone does not: there a skip is a skip.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from harness.reporting.verdict_text import Page
from lab.comparison import baseline as baselines
from lab.comparison import telling
from lab.comparison.baseline import Baseline
from lab.comparison.changes import Change, ChangeKind, count
from lab.launch.exit_codes import Exit
from lab.launch.speaker import Speaker
from lab.results.found import FoundSuite

_SKIPS = (ChangeKind.UNTESTED, ChangeKind.SKIPS)
#: What is told, and the property of the suite that has it. Errors are the verdict's own.
_PROPERTIES: Mapping[str, Sequence[ChangeKind]] = {
    "undeclared_skips": _SKIPS,
    "undeclared_failures": (ChangeKind.FAILS,),
    "stale_expectations": (ChangeKind.STALE,),
}


@dataclass(frozen=True)
class Expectation:
    """What was asked for. With `strict` an undeclared skip is no success."""

    baseline: Baseline
    strict: bool = False


def held(expected: Expectation | None, suites: Sequence[FoundSuite]) -> list[Change]:
    """What is otherwise than declared, and is to be told; nothing where nothing is declared."""
    if expected is None:
        return []
    told = [kind for kinds in _PROPERTIES.values() for kind in kinds]
    return [each for each in baselines.hold(suites, expected.baseline) if each.kind in told]


def noted(
    expected: Expectation | None, suites: Sequence[FoundSuite], changes: Sequence[Change]
) -> list[FoundSuite]:
    """The suites with properties for what `held` found: claims, each with its skips' word."""
    if expected is None:
        return list(suites)
    return [
        dataclasses.replace(
            suite, environment={**suite.environment, **_properties(expected, suite, changes)}
        )
        for suite in suites
    ]


def _properties(
    expected: Expectation, suite: FoundSuite, changes: Sequence[Change]
) -> Mapping[str, str]:
    told = {"expected": expected.baseline.name}
    of_suite = [each for each in changes if _is_about(each, suite)]
    for name, kinds in _PROPERTIES.items():
        if there := [each for each in of_suite if each.kind in kinds]:
            said = (f"{each.claim}: {each.reason}".removesuffix(": ") for each in there)
            told[name] = "; ".join(said)
    return told


def _is_about(change: Change, suite: FoundSuite) -> bool:
    """A stale entry has the pattern that it is for."""
    return change.suite in ("", suite.name) or fnmatchcase(suite.name, change.suite)


def sentence(expected: Expectation, changes: Sequence[Change]) -> str:
    """Whether all is as declared, in plain words."""
    name = expected.baseline.name
    parts = []
    if skips := _claims(changes, _SKIPS):
        parts.append(f"{skips} skipped what it does not declare")
    if fails := _claims(changes, (ChangeKind.FAILS,)):
        parts.append(f"{fails} failed that it does not declare")
    if stale := sum(each.kind is ChangeKind.STALE for each in changes):
        parts.append("1 entry applies no more" if stale == 1 else f"{stale} entries apply no more")
    return f"not as {name} declares: {', '.join(parts)}." if parts else f"as {name} declares."


def _claims(changes: Sequence[Change], kinds: Sequence[ChangeKind]) -> str:
    number = len({each.place for each in changes if each.kind in kinds})
    return count(number, "claim") if number else ""


def tell(expected: Expectation, changes: Sequence[Change], to: Speaker) -> None:
    """What is otherwise, below a verdict."""
    page = Page(max(to.width - 1, 40))
    telling.lines(page, changes)
    page.entry("EXPECTED", sentence(expected, changes), "note" if changes else "good")
    for line in page.lines:
        colour = next((each for each in ("green", "red", "yellow") if line.markup.get(each)), None)
        to.out(line.text, colour)


def left(expected: Expectation, changes: Sequence[Change], code: Exit) -> tuple[Exit, str]:
    """The exit code that is left, and a sentence where it is another one.

    An undeclared skip is no verdict on all that was asked for, as tests that were not chosen are:
    it says nothing about the kernel, which 1 would accuse, and 4 is a success for some consumers.
    """
    undeclared = any(each.kind in _SKIPS for each in changes)
    if expected.strict and undeclared and code in (Exit.HELD, Exit.NOTHING_TESTED):
        why = f"tests were skipped that {expected.baseline.name} does not declare"
        return Exit.SUITE_ERROR, f"No verdict on all that was asked for: {why}."
    return code, ""
