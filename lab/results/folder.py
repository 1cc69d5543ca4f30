# SPDX-License-Identifier: GPL-2.0-only
"""Which runs a folder of results holds: one, or one a kernel below it (matrix, mutate)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.claims import Claim
from harness.reporting import journal as journals
from lab.campaign import state
from lab.launch.exit_codes import Exit
from lab.results.found import FoundSuite, of_journal

_DEPTH = 3  # of a campaign: kernel, mutant
#: With these a run has said all that its journal does not.
_SAID = (Exit.HELD, Exit.FAILED, Exit.NOTHING_TESTED)


class NoResultsError(Exception):
    """The folder has none, or none that can be read; the text is a sentence."""


def read(place: Path, claims: Mapping[str, Claim]) -> list[FoundSuite]:
    """Each run's results; of a file, of that journal. Raises `NoResultsError`."""
    if place.is_file():
        return [_suite(place, "kvm_immediate_exit", claims)]
    if (place / journals.NAME).is_file():
        return [_suite(place / journals.NAME, "kvm_immediate_exit", claims)]
    found = [
        _suite(path, ".".join(path.parent.relative_to(place).parts), claims)
        for path in sorted(_journals(place, _DEPTH))
    ]
    if not found:
        raise NoResultsError(f"{place} has no {journals.NAME}, and no folder in it has one")
    return found


def _journals(place: Path, depth: int) -> Iterator[Path]:
    try:
        below = sorted(place.iterdir())
    except OSError as error:
        raise NoResultsError(f"{place} cannot be read: {error.strerror}") from error
    for each in below:
        if each.is_symlink() or each.name.startswith("."):
            continue
        if each.name == journals.NAME and each.is_file():
            yield each
        elif each.is_dir() and depth:
            yield from _journals(each, depth - 1)


def _suite(path: Path, name: str, claims: Mapping[str, Claim]) -> FoundSuite:
    try:
        journal = journals.read(path)
    except OSError as error:
        raise NoResultsError(f"{path} cannot be read: {error.strerror}") from error
    except journals.JournalError as error:
        raise NoResultsError(str(error)) from error
    record = state.read(path.parent)
    troubles = []
    if record and record.code not in _SAID:
        troubles.append(record.why or "the run did not come to its end")
    return of_journal(journal, claims, name=name, troubles=troubles)
