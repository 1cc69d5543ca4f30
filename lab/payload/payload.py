# SPDX-License-Identifier: GPL-2.0-only
"""A payload from the cache, or made now; under a key of all that goes into it."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from harness import files
from lab.emulation import cache as caches
from lab.emulation import programs
from lab.emulation.arch import Foreign
from lab.emulation.cache import Say
from lab.emulation.stored import lock_of
from lab.payload import contents, python_packages, systems
from lab.payload.formats import FORMATS

#: Under another number once the same things give other bytes.
_RECIPE = "1"
_KEPT = 4  # of each architecture and format
_ROOM = 400_000_000  # bytes; the largest has half of it


def provide(foreign: Foreign, format_name: str, cache: Path, say: Say) -> Path:
    """The file of one of FORMATS. Raises KernelError, with what to do."""
    programs.need("payload", *(["erofs"] if format_name == "erofs" else []))
    caches.make_folder(cache / "payloads")
    of = systems.provide(foreign.board, cache, say)
    packages = python_packages.provide(of.python, cache, say)
    machine = foreign.architecture.machine
    done = cache / "payloads" / f"{machine}-{_key(foreign, of, packages)}.{format_name}"
    with caches.lock(lock_of(done), say, f"makes the payload of {machine}"):
        if done.exists():
            done.touch()
            return done
        caches.need_room(done.parent, _ROOM, f"the payload of {machine}")
        say(f"making the payload of {machine} ({format_name}, {of.suite}, {of.python})")
        with tempfile.TemporaryDirectory(prefix=".payload-", dir=done.parent) as work:
            fresh = Path(work, "payload")
            FORMATS[format_name](contents.made(foreign, of, packages, say), fresh)
            fresh.rename(done)
        _remove_old(done)
    return done


def _key(foreign: Foreign, of: systems.Systems, packages: Path) -> str:
    """Of the recipe, of what was fetched, of the compiler, and of every file of the checkout."""
    whole = hashlib.sha256(_RECIPE.encode())
    for text in contents.described(foreign, of, packages):
        whole.update(f"{text}\n".encode())
    for path in contents.sources():
        whole.update(f"{path}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:16]


def _remove_old(done: Path) -> None:
    """Keeps the newest few; a machine that still reads one keeps it open."""
    pattern = f"{done.name.partition('-')[0]}-*{done.suffix}"
    found = sorted(done.parent.glob(pattern), key=lambda path: path.stat().st_mtime)
    for path in found[:-_KEPT]:
        path.unlink(missing_ok=True)
        lock_of(path).unlink(missing_ok=True)


def copied(payload: Path, to: Path) -> None:
    """A copy at a place of the user's, whole or not at all. Raises OSError."""
    fresh = to.with_name(f".{to.name}.new")
    try:
        with payload.open("rb") as source, os.fdopen(files.create(fresh, mode=0o644), "wb") as file:
            while data := source.read(files.MEGABYTE):
                file.write(data)
        fresh.replace(to)
    finally:
        fresh.unlink(missing_ok=True)
