# SPDX-License-Identifier: GPL-2.0-only
"""Which runs a folder of results holds: one, or one a kernel below it; a sweep, or mutants."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from harness.claims import Claim
from harness.reporting import journal as journals
from harness.shapes import ShapeError
from lab.campaign import state
from lab.launch.exit_codes import Exit
from lab.matrix import found as matrices
from lab.matrix.result import not_in_force
from lab.mutation import found as mutated
from lab.results.found import FoundSuite, of_journal
from lab.sweep import found as swept
from lab.sweep import report as sweeps

#: The files that hold a run's results, and a sweep's.
_RESULTS = (journals.NAME, sweeps.NAME)
_DEPTH = 3  # of a campaign: kernel, mutant
#: With these a run has said all that its journal does not.
_SAID = (Exit.HELD, Exit.FAILED, Exit.NOTHING_TESTED)


class NoResultsError(Exception):
    """The folder has none, or none that can be read; the text is a sentence."""


def read(place: Path, claims: Mapping[str, Claim]) -> list[FoundSuite]:
    """Each run's results; of a file, of that journal; of a mutation its mutants'.

    Raises `NoResultsError`.
    """
    try:
        return _read(place, claims)
    except OSError as error:  # of a folder that may be listed, but not entered
        raise NoResultsError(f"{error.filename} cannot be read: {error.strerror}") from error


def _read(place: Path, claims: Mapping[str, Claim]) -> list[FoundSuite]:
    if place.is_file():
        return [_suite(place, "kvm_immediate_exit", claims)]
    if place.exists() and not place.is_dir():
        raise NoResultsError(f"{place} is neither a folder of results nor a journal")
    if (place / mutated.MUTATION).is_file():
        return _told(place / mutated.MUTATION, mutated.read)
    for name in _RESULTS:
        if (place / name).is_file():
            return [_suite(place / name, "kvm_immediate_exit", claims)]
    found = [
        _suite(path, ".".join(path.parent.relative_to(place).parts), claims)
        for path in sorted(_journals(place, _DEPTH))
    ]
    if (place / matrices.MATRIX).is_file():
        there = {suite.name for suite in found}
        found += _told(place / matrices.MATRIX, lambda file: matrices.without_results(file, there))
    if not found:
        raise NoResultsError(f"{place} has no {journals.NAME}, and no folder in it has one")
    return found


def _told(file: Path, read: Callable[[Path], list[FoundSuite]]) -> list[FoundSuite]:
    """What a campaign has told in a file of its own."""
    try:
        return read(file)
    except ShapeError as error:
        raise NoResultsError(f"{file}: {error}") from error


def read_all(places: Sequence[Path], claims: Mapping[str, Claim]) -> list[FoundSuite]:
    """Those of all places, each once; of several each suite's name begins with its place's."""
    different: dict[Path, Path] = {}
    for place in places:
        different.setdefault(place.resolve(), place)
    if len(different) == 1:
        return read(places[0], claims)
    times = Counter(place.name for place in different.values())
    found = []
    for place in different.values():
        # The last folder's name, and the whole path of those that have one and the same.
        called = place.name if times[place.name] == 1 else str(place)
        suites = read(place, claims)
        for suite in suites:
            name = f"{called}.{suite.name}" if len(suites) > 1 else called
            found.append(dataclasses.replace(suite, name=name or suite.name))
    return found


def _journals(place: Path, depth: int) -> Iterator[Path]:
    try:
        below = sorted(place.iterdir())
    except OSError as error:
        raise NoResultsError(f"{place} cannot be read: {error.strerror}") from error
    for each in below:
        if each.is_symlink() or each.name.startswith("."):
            continue
        if each.name in _RESULTS and each.is_file():
            yield each
        elif each.is_dir() and depth:
            yield from _journals(each, depth - 1)


def _suite(path: Path, name: str, claims: Mapping[str, Claim]) -> FoundSuite:
    try:
        if path.name == sweeps.NAME:
            return swept.suite(sweeps.read(path), claims, name, path.parent)
        journal = journals.read(path)
    except ShapeError as error:
        raise NoResultsError(f"{path} is no sweep: {error}") from error
    except OSError as error:
        raise NoResultsError(f"{path} cannot be read: {error.strerror}") from error
    except journals.JournalError as error:
        raise NoResultsError(str(error)) from error
    record = state.read(path.parent)
    # A journal by another name has no folder of its own.
    folder = path.parent if path.name == journals.NAME else None
    troubles = []
    if record and (record.code not in _SAID or (record.code == Exit.FAILED and not journal.accuses)):
        troubles.append(record.why or "the run did not come to its end")
    words = str(record.asked.get("kernel_parameters", "")) if record else ""
    if unset := not_in_force(words, journal):
        journal = journals.Journal()
        troubles = [matrices.not_judged(unset)]
    return of_journal(journal, claims, name=name, troubles=troubles, place=folder)
