# SPDX-License-Identifier: GPL-2.0-only
"""Bugs of released kernels that the suites find: ``known_issues.toml`` beside this file.

A failure by one of them stays a failure; verdict and exports name it. And a test that the stock
kernel fails says nothing about a mutant, so a mutation leaves it out there.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from harness import files
from harness.claims import ARCHITECTURES, MACHINES, CatalogueError, catalogue
from harness.claims.versions import VERSION, is_between, version_number
from harness.shapes import ShapeError, from_toml, required, shaped

FILE = Path(__file__).with_name("known_issues.toml")

_COMMIT = re.compile(r"[0-9a-f]{12,40}")
_STABLE = re.compile(r"\d+\.\d+\.\d+")
#: Of a test, as a journal has it (harness/reporting/identity.py).
RESULT_ID = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")
#: The number of a kernel's release, which a journal tells: bounded, for it may be anything.
_NUMBER = re.compile(r"\d{1,6}\.\d{1,6}(\.\d{1,6})?")


@dataclass(frozen=True)
class KnownIssue:
    """An entry, with the keys of known_issues.toml, which tells what they mean.

    `fixed` are stable kernels such as 6.12.83: of a kernel of such a series its version alone does
    not tell, only the tests do. `tests` are result ids.
    """

    claim: str
    commit: str
    sentence: str
    link: str
    since: str
    tests: tuple[str, ...]
    until: str = ""
    fixed: tuple[str, ...] = ()
    release: str = ""
    architecture: str = ""
    module: str = ""
    version: int = 1

    def explain(self) -> str:
        """The bug in sentences, for a verdict that fails by it."""
        return (
            f"This is a known bug of {self._kernels()}, brought by commit "
            f"{self.commit}{self._fixed()}: {self.sentence} See {self.link}"
        )

    def name_it(self) -> str:
        """The bug in one sentence, behind the words on a failure by it."""
        return f"A known bug ({self.commit}): {self.sentence}"

    def _kernels(self) -> str:
        last = f" to {self.until}" if self.until else " and later"
        return f"Linux {self.since}{last}{f', {self.module}' if self.module else ''}"

    def _fixed(self) -> str:
        return f" and fixed in {', '.join(self.fixed)}" if self.fixed else ""

    def may_be_in(self, environment: Mapping[str, str]) -> bool:
        """Whether the kernel of this environment may have it: `kernel`, `architecture`, `backend`.

        Distributions leave the third number of a release at 0: then it may. So it may where the
        environment is silent on architecture and backend.
        """
        release = environment.get("kernel", "")
        number = _NUMBER.match(release)
        if number is None or not self._has(number[0]):
            return False
        machine, backend = environment.get("architecture", ""), environment.get("backend", "")
        return (
            (not self.release or fnmatchcase(release, self.release))
            and (not machine or self.architecture in ("", MACHINES.get(machine, machine)))
            and (not backend or self.module in ("", *backend.split("+")))
        )

    def _has(self, number: str) -> bool:
        if not is_between(number, self.since, self.until):
            return False
        numbers = _numbers(number)
        return not any(
            numbers[:2] == _numbers(fixed)[:2] and numbers >= _numbers(fixed)
            for fixed in self.fixed
        )

    def describe(self) -> str:
        """What is left out and why, for a report."""
        number = f"{len(self.tests)} test{'s' * (len(self.tests) > 1)}"
        return f"{number} left out, for a bug of this kernel ({self.commit}): {self.sentence}"


@dataclass(frozen=True)
class _Issues:
    issue: list[dict[str, object]] = field(default_factory=list)


def of_version(version: str, file: Path = FILE) -> tuple[KnownIssue, ...]:
    """Those that a kernel such as 6.12 has, whichever of its series it is.

    On a host that can show them. Raises `CatalogueError` for a file that is none.
    """
    return tuple(
        issue
        for issue in _of(file)
        if is_between(version, issue.since, issue.until) and not (issue.fixed or issue.release)
    )


def explaining(environment: Mapping[str, str], file: Path = FILE) -> dict[str, KnownIssue]:
    """By result id, what explains that a test fails on this host. Raises `CatalogueError`."""
    return {
        test: issue for issue in _of(file) if issue.may_be_in(environment) for test in issue.tests
    }


def _of(file: Path) -> tuple[KnownIssue, ...]:
    return _project() if file == FILE else read(file)


@functools.cache
def _project() -> tuple[KnownIssue, ...]:
    return read(FILE)


def read(file: Path) -> tuple[KnownIssue, ...]:
    """All entries. Raises `CatalogueError`: the text says which entry and which rule."""
    try:
        entries = from_toml(files.read_regular(file, files.MEGABYTE), _Issues).issue
    except OSError as error:
        raise CatalogueError(f"{file} cannot be read: {error.strerror}") from None
    except ShapeError as error:
        raise CatalogueError(f"{file}: {error}") from None
    found: dict[tuple[str, str], int] = {}
    issues = []
    for number, entry in enumerate(entries, start=1):
        place = f"{file}: issue {number} ({entry.get('commit', 'of no commit')})"
        issue = _issue(entry, place)
        first = found.setdefault((issue.commit, issue.claim), number)
        if first != number:
            raise CatalogueError(f"{place}: issue {first} is of this commit and claim already")
        issues.append(issue)
    return tuple(issues)


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(map(int, release.split(".")))


def _issue(entry: dict[str, object], place: str) -> KnownIssue:
    try:
        issue = shaped(entry, KnownIssue)
        if empty := [key for key, value in entry.items() if not value]:
            raise ShapeError(f"{empty[0]!r} is empty")
    except ShapeError as error:
        needed = ", ".join(required(KnownIssue))
        raise CatalogueError(f"{place}: {error}; an issue has at least {needed}") from None
    for wrong in _wrong(issue):
        raise CatalogueError(f"{place}: {wrong}")
    return issue


def _wrong(issue: KnownIssue) -> Iterator[str]:
    """The rules that the shape does not say, and that the entry breaks."""
    if issue.claim not in catalogue():
        yield f"unknown claim {issue.claim!r}; `kvm-conformance claims` lists every claim"
    if not _COMMIT.fullmatch(issue.commit):
        yield f"'commit' is 12 to 40 hexadecimal digits, not {issue.commit!r}"
    if not issue.sentence.endswith(".") or "\n" in issue.sentence:
        yield "'sentence' is one line that ends with a full stop"
    if not re.fullmatch(r"https://\S+", issue.link):
        yield f"'link' begins with https:// and has no blank, and {issue.link!r} does not"
    for key, text in (("since", issue.since), ("until", issue.until)):
        if text and not VERSION.fullmatch(text):
            yield f"{key!r} is a version such as 6.12, not {text!r}"
            return
    if issue.until and version_number(issue.since) > version_number(issue.until):
        yield f"'since' ({issue.since}) is later than 'until' ({issue.until})"
    for text in issue.fixed:
        if not _STABLE.fullmatch(text):
            yield f"'fixed' lists stable kernels such as 6.12.83, not {text!r}"
        elif not is_between(text, issue.since, issue.until):
            yield f"'fixed' lists {text}, which is not among the kernels that have it"
    if issue.architecture and issue.architecture not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        yield f"unknown architecture {issue.architecture!r}; known: {known}"
    for text in issue.tests:
        if not RESULT_ID.fullmatch(text):
            yield f"'tests' lists result ids such as preset.repeats.long, not {text!r}"
    if len(set(issue.tests)) != len(issue.tests):
        yield "'tests' names a test twice"
    if issue.version < 1:
        yield "'version' counts from 1"
