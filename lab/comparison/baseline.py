# SPDX-License-Identifier: GPL-2.0-only
"""A baseline: a file that declares what a host may skip, and what is known to fail on it.

Nobody types it: `written` makes it of results. What is not declared is expected to pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeVar

from harness import files
from harness.claims import catalogue
from harness.claims.known_issues import RESULT_ID
from harness.host.features import REASONS
from harness.shapes import ShapeError, from_toml, required, shaped
from lab.comparison import changes
from lab.comparison.changes import BY_CHANCE, NOTHING_MISSING, Change, ChangeKind
from lab.results import names
from lab.results.found import OF_THE_RUN, FoundClaim, FoundSuite, FoundTest, Status

_EVERY = "*"


class BaselineError(ValueError):
    """A file that is no baseline, or results of which none can be made; a clause."""


@dataclass(frozen=True)
class DeclaredSkip:
    """Tests of a claim, or of those that a pattern has, may be skipped for a reason.

    `most` is how many of each claim, 0 for any number. `suite` is a pattern of the runs that it is
    for, of a matrix. `why` is for people.
    """

    claim: str
    reason: str
    most: int = 0
    suite: str = _EVERY
    why: str = ""


@dataclass(frozen=True)
class DeclaredFailure:
    """A claim, or those that a pattern has, fails; by these tests alone where they are named."""

    claim: str
    tests: tuple[str, ...] = ()
    suite: str = _EVERY
    why: str = ""


_Declared = TypeVar("_Declared", DeclaredSkip, DeclaredFailure)


@dataclass(frozen=True)
class Baseline:
    """All that a file declares; `name` is the file's, for people."""

    name: str
    skips: tuple[DeclaredSkip, ...] = ()
    failures: tuple[DeclaredFailure, ...] = ()


@dataclass(frozen=True)
class _File:
    skip: list[dict[str, Any]] = field(default_factory=list)
    failure: list[dict[str, Any]] = field(default_factory=list)


def read(path: Path) -> Baseline:
    """The file's. Raises `BaselineError`, which says which entry breaks which rule."""
    try:
        tables = from_toml(files.read_regular(path, files.MEGABYTE), _File)
    except OSError as error:
        raise BaselineError(f"{path} cannot be read: {error.strerror}") from None
    except ShapeError as error:
        way = "a baseline has [[skip]] and [[failure]], in two brackets, and no more"
        raise BaselineError(f"{path}: {error}; {way}") from None
    skips = [_entry(each, DeclaredSkip, f"{path}: skip {n}") for n, each in _numbered(tables.skip)]
    failures = [
        _entry(each, DeclaredFailure, f"{path}: failure {n}")
        for n, each in _numbered(tables.failure)
    ]
    for n, skip in _numbered(skips):
        if skip.reason not in REASONS:
            words = "docs/skip-words.md has the words"
            raise BaselineError(f"{path}: skip {n}: unknown reason {skip.reason!r}; {words}")
        if skip.most < 0:
            raise BaselineError(f"{path}: skip {n}: 'most' is a number of tests, not {skip.most}")
    for n, failure in _numbered(failures):
        if wrong := [test for test in failure.tests if not RESULT_ID.fullmatch(test)]:
            told = f"'tests' lists result ids such as preset.repeats.long, not {wrong[0]!r}"
            raise BaselineError(f"{path}: failure {n}: {told}")
    _refuse_twice([(each.suite, each.claim, each.reason) for each in skips], f"{path}: skip")
    _refuse_twice([(each.suite, each.claim) for each in failures], f"{path}: failure")
    return Baseline(names.sentence(path.name, 200), tuple(skips), tuple(failures))


_T = TypeVar("_T")


def _numbered(entries: Sequence[_T]) -> Iterator[tuple[int, _T]]:
    yield from enumerate(entries, start=1)


def _entry(table: dict[str, Any], shape: type[_Declared], place: str) -> _Declared:
    try:
        entry = shaped(table, shape)
    except ShapeError as error:
        needed = " and ".join(required(shape))
        raise BaselineError(f"{place}: {error}; it needs {needed}") from None
    if not any(fnmatchcase(claim, entry.claim) for claim in catalogue()):
        known = "`kvm-conformance claims` lists every claim"
        raise BaselineError(f"{place}: {entry.claim!r} is no claim and no pattern of any; {known}")
    if table.get("tests") == []:
        raise BaselineError(
            f"{place}: 'tests' lists none; without it any test of the claim may fail"
        )
    return entry


def _refuse_twice(keys: Sequence[tuple[str, ...]], place: str) -> None:
    there: dict[tuple[str, ...], int] = {}
    for number, key in _numbered(keys):
        if (one := there.setdefault(key, number)) != number:
            raise BaselineError(f"{place} {number} declares the same as the one with number {one}")


# ---- results held against it


def hold(suites: Sequence[FoundSuite], baseline: Baseline) -> list[Change]:
    """What is otherwise than declared, the most important first."""
    several = len(suites) > 1
    found = [
        change
        for suite in suites
        for change in _suite(suite, names.sentence(suite.name, 200) if several else "", baseline)
    ]
    return changes.ordered([*found, *_stale(suites, baseline)])


def _suite(suite: FoundSuite, name: str, baseline: Baseline) -> Iterator[Change]:
    if missed := [test for test in suite.tests() if test.status is Status.MISSED]:
        yield changes.cut(name, missed, sum(suite.counts().values()))
    for claim in suite.claims:
        called = names.sentence(claim.name, 200)
        of = len(claim.tests)
        failed = [
            test
            for test in _having(claim, Status.FAILED)
            if not any(_covers(each, suite, claim, test) for each in baseline.failures)
        ]
        if failed:
            yield changes.fails(
                name, called, failed, of, f", which {baseline.name} does not declare"
            )
        if broke := _having(claim, Status.ERROR):
            yield changes.no_verdict(name, called, broke)
        yield from _skips(suite, name, claim, baseline)


def _having(claim: FoundClaim, status: Status) -> list[FoundTest]:
    return [test for test in claim.tests if test.status is status]


def _for(entry: DeclaredSkip | DeclaredFailure, suite: FoundSuite, claim: FoundClaim) -> bool:
    return fnmatchcase(suite.name, entry.suite) and fnmatchcase(claim.name, entry.claim)


def _covers(entry: DeclaredFailure, suite: FoundSuite, claim: FoundClaim, test: FoundTest) -> bool:
    return _for(entry, suite, claim) and (not entry.tests or test.name in entry.tests)


def _by_reason(claim: FoundClaim) -> Mapping[str, list[FoundTest]]:
    """Its skips that take something away."""
    found: dict[str, list[FoundTest]] = {}
    nothing = NOTHING_MISSING if claim.status is Status.SKIPPED else NOTHING_MISSING | BY_CHANCE
    for test in _having(claim, Status.SKIPPED):
        if test.reason not in nothing:
            found.setdefault(test.reason, []).append(test)
    return found


def _skips(suite: FoundSuite, name: str, claim: FoundClaim, baseline: Baseline) -> Iterator[Change]:
    whole = claim.status is Status.SKIPPED
    for reason, tests in _by_reason(claim).items():
        declared = [
            each.most
            for each in baseline.skips
            if each.reason == reason and _for(each, suite, claim)
        ]
        if declared and (0 in declared or len(tests) <= max(declared)):
            continue
        told = f"declares {max(declared)}" if declared else "declares none"
        number = changes.some(tests, len(claim.tests))
        said = f"{number} skipped, and {baseline.name} {told}: "
        yield Change(
            ChangeKind.UNTESTED if whole else ChangeKind.SKIPS,
            name,
            names.sentence(claim.name, 200),
            f"{said}{changes.why(tests)}",
            changes.names_of(tests),
            names.sentence(reason, 100),
        )


def _stale(suites: Sequence[FoundSuite], baseline: Baseline) -> Iterator[Change]:
    """What is declared, and is not so in any of the runs that it is for."""
    for skip in baseline.skips:
        claims = [] if skip.reason in BY_CHANCE else list(_whole(skip, suites))
        if claims and not any(skip.reason in _by_reason(claim) for claim in claims):
            said = f"{baseline.name} declares skips for {skip.reason}, and there are none any more"
            yield Change(ChangeKind.STALE, *_told(skip), said, (), skip.reason)
    for failure in baseline.failures:
        claims = list(_whole(failure, suites))
        tests = [
            test
            for claim in claims
            for test in claim.tests
            if not failure.tests or test.name in failure.tests
        ]
        held = [test for test in tests if test.status is Status.PASSED]
        if not failure.tests and any(test.status is not Status.PASSED for test in tests):
            continue  # of the whole claim: it holds when all of it does
        if held:
            said = f"{baseline.name} declares that it fails, and it holds: {changes.listed(held)}"
            yield Change(ChangeKind.STALE, *_told(failure), said, changes.names_of(held))


def _told(entry: DeclaredSkip | DeclaredFailure) -> tuple[str, str]:
    """The runs, where it is not for all, and the claims of an entry."""
    suite = "" if entry.suite == _EVERY else names.sentence(entry.suite, 200)
    return suite, names.sentence(entry.claim, 200)


def _whole(
    entry: DeclaredSkip | DeclaredFailure, suites: Sequence[FoundSuite]
) -> Iterator[FoundClaim]:
    """The claims that an entry is for, of which every test has an end."""
    for suite in suites:
        for claim in suite.claims:
            if _for(entry, suite, claim) and not _having(claim, Status.MISSED):
                yield claim


# ---- made of results


def written(suites: Sequence[FoundSuite]) -> str:
    """The file that declares what these results have. Raises `BaselineError`."""
    several = len(suites) > 1
    lines = [
        "# SPDX-License-Identifier: GPL-2.0-only",
        "#",
        "# What may be skipped, and what is known to fail; all else is expected to pass.",
        "# `kvm-conformance baseline` made it. docs/compare.md tells the form.",
    ]
    for suite in suites:
        kernel = names.sentence(suite.environment.get("kernel", "an unknown kernel"), 200)
        backend = names.sentence(suite.environment.get("backend", ""), 200)
        lines += ["", f"# {', '.join(filter(None, (names.name(suite.name), kernel, backend)))}"]
        lines += _declared(suite, several)
    return "".join(f"{line}\n" for line in lines)


def _declared(suite: FoundSuite, several: bool) -> Iterator[str]:
    if several and names.name(suite.name) != suite.name:
        raise BaselineError(f"the run {names.sentence(suite.name)!r} has no plain name")
    for test in suite.tests():
        if test.status in (Status.ERROR, Status.MISSED):
            raise BaselineError(
                f"{names.sentence(test.name)} came to no verdict: a baseline is made of a run that"
                " came to its end, without an error"
            )
    of_suite = [f'suite = "{suite.name}"'] if several else []
    for claim in suite.claims:
        if claim.name == OF_THE_RUN or claim.name not in catalogue():
            raise BaselineError(f"{names.sentence(claim.name)!r} is none of the claims here")
        for reason, tests in _by_reason(claim).items():
            if reason not in REASONS:
                raise BaselineError(f"{names.sentence(reason)!r} is no word for a skip here")
            yield from ("", "[[skip]]", *of_suite, f'claim = "{claim.name}"')
            yield from (f'reason = "{reason}"  # {REASONS[reason]}', f"most = {len(tests)}")
        if failed := _having(claim, Status.FAILED):
            if wrong := [test for test in failed if not RESULT_ID.fullmatch(test.name)]:
                raise BaselineError(f"{names.sentence(wrong[0].name)!r} is no result id")
            yield from ("", "[[failure]]", *of_suite, f'claim = "{claim.name}"')
            for issue in dict.fromkeys(test.issue for test in failed if test.issue):
                yield f'why = "a known bug, {issue.commit}"'
            yield from ("tests = [", *(f'    "{test.name}",' for test in failed), "]")
