# SPDX-License-Identifier: GPL-2.0-only
"""What stands in the cache: how large it is, when it was last used, and how it goes away."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lab.emulation.cache import lock
from lab.emulation.errors import KernelError

DAY_S = 24 * 3600


@dataclass(frozen=True)
class StoredKernel:
    """One thing that can be removed alone.

    `kind` is what it is, in a word; `size` bytes on disk; `used` when it was last used, in seconds
    since the epoch.
    """

    path: Path
    kind: str
    size: int
    used: float

    def age_days(self) -> float:
        """Days since it was used."""
        return max(0.0, time.time() - self.used) / DAY_S


def entries(root: Path) -> list[StoredKernel]:
    """All that is in the cache, by kind and name; locks are too small to count.

    Raises KernelError where the folder cannot be read.
    """
    try:
        return [
            StoredKernel(path, kind, _size(path), _used(path))
            for kind, path in sorted(_found(root))
        ]
    except OSError as error:
        raise KernelError(f"the cache {root} cannot be read: {error.strerror}") from error


def _found(root: Path) -> Iterator[tuple[str, Path]]:
    for path in root.glob("bundle-*.ext4"):
        yield "bundle", path
    for path in root.glob("payloads/*-*.*"):
        if path.suffix != ".lock":
            yield "payload", path
    if (bytecode := root / "bytecode").is_dir():
        yield "bytecode", bytecode
    for path in (*root.glob("debian/*/*"), *root.glob("mutants/*"), *root.glob("python/*")):
        if path.is_dir():
            yield path.parent.name, path


def mark_used(path: Path) -> None:
    """Notes that an entry is used now, on the lock beside it: its own time may be Debian's."""
    lock_of(path).touch()


def lock_of(path: Path) -> Path:
    """The lock under which a folder of the cache is made."""
    return path.with_name(f"{path.name}.lock")


def remove(entry: StoredKernel) -> None:
    """Removes it, once nobody makes it any more. Raises KernelError where it cannot be removed."""
    try:
        if entry.path.is_dir():
            with lock(lock_of(entry.path), lambda _: None, "uses it"):
                shutil.rmtree(entry.path)
        else:
            entry.path.unlink()  # a machine that reads it keeps it open
    except FileNotFoundError:
        pass  # another process was faster
    except OSError as error:
        raise KernelError(f"{entry.path} cannot be removed: {error.strerror}") from error


def _used(path: Path) -> float:
    """A bundle is touched when it is used, a folder's lock as well."""
    beside = lock_of(path)
    return (beside if path.is_dir() and beside.exists() else path).stat().st_mtime


def _size(path: Path) -> int:
    """Bytes on disk; a file with two names counts once."""
    if path.is_file():
        return path.stat().st_blocks * 512
    seen: dict[tuple[int, int], int] = {}
    for folder, _, names in os.walk(path):
        for name in names:
            status = Path(folder, name).lstat()
            seen[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(seen.values())
