# SPDX-License-Identifier: GPL-2.0-only
"""Bugs of released kernels that the suites find: ``kernel_bugs.toml`` beside this file.

A verdict that fails by one of them names it. And a test that the stock kernel fails says nothing
about a mutant, so a mutation leaves it out there.
"""

from __future__ import annotations

import re
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path

from harness.claims import CatalogueError
from harness.claims.versions import VERSION, is_between
from harness.shapes import ShapeError, from_toml, shaped

FILE = Path(__file__).with_name("kernel_bugs.toml")


@dataclass(frozen=True)
class KernelBug:
    """An entry; `tests` are node ids of pytest, the versions those of the first and last kernel.

    `fixed` are the stable kernels that got the fix, such as 6.12.83: of a kernel of such a series
    its version alone does not tell, only the tests do.
    """

    commit: str
    defect: str
    since: str
    until: str
    tests: tuple[str, ...]
    fixed: tuple[str, ...] = ()

    def explain(self) -> str:
        """The bug in a sentence, for a verdict that fails by it."""
        return (
            f"This is a known bug of Linux {self.since} to {self.until}, brought by commit "
            f"{self.commit}{self._fixed()}: {self.defect}"
        )

    def _fixed(self) -> str:
        return f" and fixed in {', '.join(self.fixed)}" if self.fixed else ""

    def may_be_in(self, release: str) -> bool:
        """Whether a kernel of this release, such as 6.12.80, may have it.

        Distributions leave the third number at 0: then it may.
        """
        if not is_between(release, self.since, self.until):
            return False
        number = _numbers(release)
        return not any(
            number[:2] == _numbers(fixed)[:2] and number >= _numbers(fixed) for fixed in self.fixed
        )

    def describe(self) -> str:
        """What is left out and why, for a report."""
        number = f"{len(self.tests)} test{'s' * (len(self.tests) > 1)}"
        return f"{number} left out, for a bug of this kernel ({self.commit}): {self.defect}"


@dataclass(frozen=True)
class _Bugs:
    bug: list[dict[str, object]] = field(default_factory=list)


def of_version(version: str, file: Path = FILE) -> tuple[KernelBug, ...]:
    """The bugs that a kernel such as 6.12 has, whichever of its series it is.

    Raises `CatalogueError` for a file that is none.
    """
    return tuple(
        bug for bug in _read(file) if is_between(version, bug.since, bug.until) and not bug.fixed
    )


def explaining(release: str, file: Path = FILE) -> tuple[KernelBug, ...]:
    """The bugs that explain a failure of their tests on a kernel. Raises `CatalogueError`."""
    return tuple(bug for bug in _read(file) if bug.may_be_in(release))


def _read(file: Path = FILE) -> list[KernelBug]:
    try:
        entries = from_toml(file.read_bytes(), _Bugs).bug
    except (OSError, ShapeError) as error:
        raise CatalogueError(f"{file}: {error}") from None
    return [_bug(entry, file) for entry in entries]


def _numbers(release: str) -> tuple[int, ...]:
    """6.1.0-56-amd64 as (6, 1, 0)."""
    return tuple(map(int, re.findall(r"\d+", re.match(r"[\d.]*", release)[0])))  # type: ignore[index]


def _bug(entry: dict[str, object], file: Path) -> KernelBug:
    try:
        bug = shaped(entry, KernelBug)
        if not all(entry.values()):
            raise ShapeError("one of them is empty")
    except ShapeError as error:
        what = ", ".join(sorted(each.name for each in fields(KernelBug) if each.default is MISSING))
        raise CatalogueError(
            f"{file}: a bug has {what}, all of them texts, and at most `fixed` besides: {error}"
        ) from None
    for key in ("since", "until"):
        if not VERSION.fullmatch(text := getattr(bug, key)):
            raise CatalogueError(f"{file}: {key!r} is a version such as 6.12, not {text!r}")
    return bug
