# SPDX-License-Identifier: GPL-2.0-only
"""The catalogue of claims: what the suites verify, as data.

``claims.toml`` beside this file holds one entry a claim. :func:`catalogue` reads and checks it
once; a damaged catalogue raises :class:`CatalogueError` with a sentence that names the entry.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.shapes import ShapeError, from_toml

__all__ = [
    "ARCHITECTURES",
    "KINDS",
    "MACHINES",
    "Catalogue",
    "CatalogueError",
    "Chapter",
    "Claim",
    "catalogue",
    "chapters",
    "load",
]

CATALOGUE_FILE = Path(__file__).with_name("claims.toml")

#: What kind of promise a claim is: documented, de facto, or a measurement without a verdict.
KINDS: Mapping[str, str] = MappingProxyType({"D": "documented", "F": "de facto", "-": "measured"})

#: The names that this project gives to architectures (the kernel's, with the word size).
ARCHITECTURES = ("x86_64", "arm64", "riscv64", "ppc64le", "s390x", "mips64", "loongarch64")
#: uname's name of a machine, where this project's differs.
MACHINES: Mapping[str, str] = MappingProxyType(
    {"aarch64": "arm64", "ppc64": "ppc64le", "i686": "x86_64", "mips": "mips64"}
)

_WORD = re.compile(r"[a-z0-9_]+")
_ID = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)+")

_REQUIRED = ("id", "sentence", "kind", "source", "meaning")
_OPTIONAL = ("architectures", "gates", "planned", "command")


class CatalogueError(ValueError):
    """The catalogue breaks a rule; the text says which entry and which rule."""


@dataclass(frozen=True)
class Chapter:
    """One folder under suites/. ``prefix`` is the first part of its claims' ids."""

    name: str
    prefix: str
    title: str


@dataclass(frozen=True)
class Claim:
    """One sentence about the kernel that a test can refute.

    ``architectures`` is empty for a claim that every architecture can have. ``gates`` are the
    skip tokens of what a host may lack. ``meaning`` says what a failure means to users of KVM.
    ``planned`` claims have no test yet; ``command`` is the command of kvm-conformance that tests
    a claim which no suite can.
    """

    id: str
    chapter: str
    sentence: str
    kind: str
    source: str
    architectures: tuple[str, ...]
    gates: tuple[str, ...]
    meaning: str
    planned: bool = False
    command: str = ""

    def applies_to(self, architecture: str) -> bool:
        """Whether a host of this architecture can show the claim."""
        return not self.architectures or architecture in self.architectures


@dataclass(frozen=True)
class Catalogue:
    """Chapters by folder name and claims by id, both in the order of the file."""

    chapters: Mapping[str, Chapter]
    claims: Mapping[str, Claim]


@dataclass(frozen=True)
class _Document:
    chapters: dict[str, dict[str, str]] = field(default_factory=dict)
    claim: list[dict[str, Any]] = field(default_factory=list)


def catalogue() -> Mapping[str, Claim]:
    """The project's claims by id, in the order of the contract."""
    return _project().claims


def chapters() -> Mapping[str, Chapter]:
    """The project's chapters by folder name, in the order of the contract."""
    return _project().chapters


@functools.cache
def _project() -> Catalogue:
    return load(CATALOGUE_FILE.read_text(encoding="utf-8"), where=CATALOGUE_FILE.name)


def load(text: str, *, where: str = "claims.toml") -> Catalogue:
    """Parse and check a catalogue.

    :raises CatalogueError: the text is no TOML, or an entry breaks a rule.
    """
    try:
        document = from_toml(text, _Document)
    except ShapeError as error:
        raise CatalogueError(f"{where}: {error}") from error
    found_chapters = _chapters(document.chapters, where)
    by_prefix = {chapter.prefix: chapter for chapter in found_chapters.values()}
    claims: dict[str, Claim] = {}
    for number, entry in enumerate(document.claim, start=1):
        claim = _claim(entry, by_prefix, f"{where}: claim {entry.get('id', f'number {number}')!r}")
        if claim.id in claims:
            raise CatalogueError(f"{where}: claim {claim.id!r} stands twice")
        claims[claim.id] = claim
    return Catalogue(MappingProxyType(found_chapters), MappingProxyType(claims))


def _chapters(tables: Mapping[str, Mapping[str, str]], where: str) -> dict[str, Chapter]:
    found: dict[str, Chapter] = {}
    for name, entry in tables.items():
        place = f"{where}: chapter {name!r}"
        if not _WORD.fullmatch(name):
            raise CatalogueError(f"{place}: a name is lower-case letters, digits and _")
        if set(entry) != {"prefix", "title"}:
            raise CatalogueError(f"{place}: needs exactly 'prefix' and 'title'")
        chapter = Chapter(name, _text(entry, "prefix", place), _text(entry, "title", place))
        if any(chapter.prefix == other.prefix for other in found.values()):
            raise CatalogueError(f"{place}: prefix {chapter.prefix!r} belongs to another chapter")
        found[name] = chapter
    return found


def _claim(entry: dict[str, Any], by_prefix: Mapping[str, Chapter], place: str) -> Claim:
    missing = [key for key in _REQUIRED if key not in entry]
    if missing:
        raise CatalogueError(f"{place}: has no {missing[0]!r}")
    unknown = sorted(set(entry) - set(_REQUIRED) - set(_OPTIONAL))
    if unknown:
        raise CatalogueError(f"{place}: unknown key {unknown[0]!r}")
    identifier = _text(entry, "id", place)
    if not _ID.fullmatch(identifier):
        raise CatalogueError(f"{place}: an id is words of [a-z0-9_] joined by dots")
    prefix = identifier.partition(".")[0]
    if prefix not in by_prefix:
        raise CatalogueError(f"{place}: no chapter has the prefix {prefix!r}")
    kind = _text(entry, "kind", place)
    if kind not in KINDS:
        raise CatalogueError(f"{place}: unknown kind {kind!r}; known: {', '.join(KINDS)}")
    architectures = _words(entry, "architectures", place)
    for architecture in architectures:
        if architecture not in ARCHITECTURES:
            known = ", ".join(ARCHITECTURES)
            raise CatalogueError(f"{place}: unknown architecture {architecture!r}; known: {known}")
    planned = entry.get("planned", False)
    if not isinstance(planned, bool):
        raise CatalogueError(f"{place}: 'planned' is true or false")
    return Claim(
        id=identifier,
        chapter=by_prefix[prefix].name,
        sentence=_sentence(entry, "sentence", place),
        kind=kind,
        source=_text(entry, "source", place),
        architectures=architectures,
        gates=_words(entry, "gates", place),
        meaning=_sentence(entry, "meaning", place),
        planned=planned,
        command=_text(entry, "command", place) if "command" in entry else "",
    )


def _text(entry: Mapping[str, Any], key: str, place: str) -> str:
    value = entry[key]
    if not isinstance(value, str) or not value.strip() or value != value.strip():
        raise CatalogueError(f"{place}: {key!r} must be a text without blanks around it")
    if "\n" in value:
        raise CatalogueError(f"{place}: {key!r} must be one line")
    return value


def _sentence(entry: Mapping[str, Any], key: str, place: str) -> str:
    value = _text(entry, key, place)
    if not value.endswith("."):
        raise CatalogueError(f"{place}: {key!r} must be a sentence that ends with a full stop")
    return value


def _words(entry: Mapping[str, Any], key: str, place: str) -> tuple[str, ...]:
    value = entry.get(key, [])
    if not isinstance(value, list) or not all(
        isinstance(word, str) and _WORD.fullmatch(word) for word in value
    ):
        raise CatalogueError(f"{place}: {key!r} must be a list of words of [a-z0-9_]")
    if len(set(value)) != len(value):
        raise CatalogueError(f"{place}: {key!r} names something twice")
    return tuple(value)
