# SPDX-License-Identifier: GPL-2.0-only
"""What the guest executes: programs as built binaries, checked against a manifest when loaded.

The sources stand beside the binaries, one a program and architecture; ``build`` makes these and the
manifest. ``memory_map`` has the addresses that programs and host share.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

FOLDER = Path(__file__).resolve().parent
MANIFEST = "manifest.json"
SCHEMA = 1
REBUILD = "make blobs"

__all__ = ["Blob", "BlobError", "Entry", "load", "manifest", "modes", "programs"]


class BlobError(Exception):
    """A guest program cannot be used; the message names it, says why and what to do."""


@dataclass(frozen=True)
class Entry:
    """What the manifest says about one binary.

    ``file`` is relative to this folder, ``size`` in bytes; ``load_address`` and ``entry`` are
    offsets from the base of guest RAM.
    """

    program: str
    architecture: str
    mode: str
    file: str
    sha256: str
    size: int
    load_address: int
    entry: int


@dataclass(frozen=True)
class Blob:
    """A program ready to be placed into a guest.

    ``load_address`` and ``entry`` are offsets in bytes from the base of guest RAM.
    """

    name: str
    architecture: str
    mode: str
    load_address: int
    entry: int
    code: bytes


@dataclass(frozen=True)
class _Manifest:
    schema: int
    blobs: list[Entry]


def manifest(folder: Path = FOLDER) -> tuple[Entry, ...]:
    """Every binary that the manifest names. BlobError when it is missing or broken."""
    path = folder / MANIFEST
    try:
        return _parsed(path, path.read_bytes())
    except FileNotFoundError:
        raise BlobError(f"{path}: missing; rebuild with `{REBUILD}`") from None
    except OSError as error:
        raise BlobError(f"{path}: cannot be read: {error.strerror}") from None


@functools.lru_cache(maxsize=1)
def _parsed(path: Path, text: bytes) -> tuple[Entry, ...]:
    """The entries in a manifest's text; kept, for each guest asks for them."""
    try:
        found = msgspec.json.decode(text, type=_Manifest)
    except (ValueError, RecursionError) as error:
        why = f"no manifest of schema {SCHEMA}: {error}"
        raise BlobError(f"{path}: {why}; rebuild with `{REBUILD}`") from None
    if found.schema != SCHEMA:
        raise BlobError(f"{path}: no manifest of schema {SCHEMA}; rebuild with `{REBUILD}`")
    return tuple(found.blobs)


def _of(architecture: str, folder: Path) -> Mapping[str, Mapping[str, Entry]]:
    """The manifest's entries of one architecture: program -> mode -> entry."""
    found: dict[str, dict[str, Entry]] = {}
    known = set()
    for entry in manifest(folder):
        known.add(entry.architecture)
        if entry.architecture == architecture:
            found.setdefault(entry.program, {})[entry.mode] = entry
    if not found:
        raise BlobError(
            f"no guest programs for architecture {architecture}; "
            f"there are some for: {', '.join(sorted(known)) or 'none'}"
        )
    return found


def _modes_of(architecture: str, program: str, folder: Path) -> Mapping[str, Entry]:
    found = _of(architecture, folder)
    if program not in found:
        raise BlobError(
            f"no guest program {program} for {architecture}; there are: {', '.join(sorted(found))}"
        )
    return found[program]


def programs(architecture: str, folder: Path = FOLDER) -> tuple[str, ...]:
    """Names of an architecture's programs, sorted. BlobError for an unknown architecture."""
    return tuple(sorted(_of(architecture, folder)))


def modes(architecture: str, program: str, folder: Path = FOLDER) -> tuple[str, ...]:
    """The modes a program is there for, in the manifest's order. BlobError for an unknown one."""
    return tuple(_modes_of(architecture, program, folder))


def load(program: str, architecture: str, mode: str, folder: Path = FOLDER) -> Blob:
    """Read a program's binary and check it against the manifest.

    BlobError when program, architecture or mode is unknown, or when the binary is missing or is
    not the one that the manifest describes.
    """
    of_mode = _modes_of(architecture, program, folder)
    if mode not in of_mode:
        raise BlobError(
            f"guest program {program} for {architecture} has no mode {mode}; "
            f"there are: {', '.join(of_mode)}"
        )
    entry = of_mode[mode]
    path = folder / entry.file
    try:
        code = path.read_bytes()
        found = hashlib.sha256(code).hexdigest()
    except FileNotFoundError:
        code, found = b"", "missing"
    except OSError as error:
        raise BlobError(f"guest program {path}: cannot be read: {error.strerror}") from None
    if found != entry.sha256:
        raise BlobError(
            f"guest program {path}: expected SHA-256 {entry.sha256}, found {found}; "
            f"restore it, or see `{REBUILD}`"
        )
    return Blob(program, architecture, mode, entry.load_address, entry.entry, code)
