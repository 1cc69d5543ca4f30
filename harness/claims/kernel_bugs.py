# SPDX-License-Identifier: GPL-2.0-only
"""Bugs of released kernels that the suites find: ``kernel_bugs.toml`` beside this file.

A verdict that fails by one of them names it. And a test that the stock kernel fails says nothing
about a mutant, so a mutation leaves it out there.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path

from harness.claims import CatalogueError
from harness.claims.versions import VERSION, is_between
from harness.shapes import ShapeError, from_toml, shaped

FILE = Path(__file__).with_name("kernel_bugs.toml")


@dataclass(frozen=True)
class KernelBug:
    """An entry; `tests` are node ids of pytest, the versions those of the first and last kernel."""

    commit: str
    defect: str
    since: str
    until: str
    tests: tuple[str, ...]

    def explain(self) -> str:
        """The bug in a sentence, for a verdict that fails by it."""
        return (
            f"This is a known bug of Linux {self.since} to {self.until}, brought by commit "
            f"{self.commit}: {self.defect}"
        )

    def describe(self) -> str:
        """What is left out and why, for a report."""
        number = f"{len(self.tests)} test{'s' * (len(self.tests) > 1)}"
        return f"{number} left out, for a bug of this kernel ({self.commit}): {self.defect}"


@dataclass(frozen=True)
class _Bugs:
    bug: list[dict[str, object]] = field(default_factory=list)


def of_version(version: str, file: Path = FILE) -> tuple[KernelBug, ...]:
    """The bugs of a kernel such as 6.12. Raises `CatalogueError` for a file that is none."""
    try:
        entries = from_toml(file.read_bytes(), _Bugs).bug
    except (OSError, ShapeError) as error:
        raise CatalogueError(f"{file}: {error}") from None
    return tuple(
        bug
        for bug in (_bug(entry, file) for entry in entries)
        if is_between(version, bug.since, bug.until)
    )


def _bug(entry: dict[str, object], file: Path) -> KernelBug:
    try:
        bug = shaped(entry, KernelBug)
        if not all(entry.values()):
            raise ShapeError("one of them is empty")
    except ShapeError as error:
        what = ", ".join(sorted(each.name for each in fields(KernelBug)))
        raise CatalogueError(
            f"{file}: a bug has {what}, all of them texts, and nothing else: {error}"
        ) from None
    for key in ("since", "until"):
        if not VERSION.fullmatch(text := getattr(bug, key)):
            raise CatalogueError(f"{file}: {key!r} is a version such as 6.12, not {text!r}")
    return bug
