# SPDX-License-Identifier: GPL-2.0-only
"""Which claims and suites a run has.

A claim is named by its id (``preset.repeats``), by its chapter (``preset``, ``vcpu_states`` or
the prefix ``states``) or by a pattern (``completion.*``). A suite is named by its folder.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from harness.claims import Chapter, Claim

_PATTERN = frozenset("*?[")


class SelectionError(ValueError):
    """A word names no claim or suite; the text says which and what comes close."""


@dataclass(frozen=True)
class Selection:
    """The chosen claims, and whether that is fewer than the catalogue holds."""

    claims: frozenset[str]
    narrowed: bool


@dataclass(frozen=True)
class Rest:
    """What the chosen claims have besides the tests that are to run.

    ``not_chosen`` maps result ids to claims: something else than --claim, --suite and --variants
    left them out. ``not_found`` are claims without a single test, which the catalogue promises.
    """

    not_chosen: Mapping[str, str] = field(default_factory=dict)
    not_found: Sequence[str] = ()

    def __bool__(self) -> bool:
        """Whether anything is missing."""
        return bool(self.not_chosen or self.not_found)


def select(
    claims: Mapping[str, Claim],
    chapters: Mapping[str, Chapter],
    *,
    wanted_claims: Sequence[str] = (),
    wanted_suites: Sequence[str] = (),
) -> Selection:
    """The claims that all words together choose.

    Words of one kind add up; a test runs when both its claim and its suite are chosen.

    :raises SelectionError: a word names nothing, or the two kinds have nothing in common.
    """
    for suite in wanted_suites:
        if suite not in chapters:
            raise SelectionError(
                _unknown(
                    "suite", suite, chapters, "the chapters, which are the folders under suites/"
                )
            )
    chosen = set(claims)
    if wanted_claims:
        chosen = set().union(*(_matches(word, claims, chapters) for word in wanted_claims))
    if wanted_suites:
        chosen = {name for name in chosen if claims[name].chapter in wanted_suites}
    if not chosen:
        raise SelectionError(
            f"no claim is left: none of {', '.join(wanted_claims)} belongs to"
            f" {', '.join(wanted_suites)}. Leave one of the two away."
        )
    return Selection(frozenset(chosen), len(chosen) < len(claims))


def _matches(word: str, claims: Mapping[str, Claim], chapters: Mapping[str, Chapter]) -> set[str]:
    if word in claims:
        return {word}
    found = {
        claim.id
        for claim in claims.values()
        if word in (claim.chapter, chapters[claim.chapter].prefix)
    }
    if not found and _PATTERN & set(word):
        found = set(fnmatch.filter(claims, word))
    if not found:
        raise SelectionError(_unknown("claim", word, [*claims, *chapters], "every claim"))
    return found


def _unknown(kind: str, word: str, known: Iterable[str], what: str) -> str:
    close = difflib.get_close_matches(word, list(known), n=3, cutoff=0.5)
    hint = f" Close: {', '.join(close)}." if close else ""
    return f"unknown {kind} {word!r}.{hint} `kvm-conformance claims` lists {what}."
