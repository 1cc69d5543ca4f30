# SPDX-License-Identifier: GPL-2.0-only
"""A disk image with what the suites execute: a fast copy of some files of this host.

An emulated host reads its root by a 9p share, each look-up and each page a round trip through
QEMU. Python opens thousands of files, so it takes most of a run's time. The bundle is an ext4
image of those files in their places; guest.sh lays it over the root. It changes nothing else:
without it the same files come from the share.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

from harness.signs import Signs, run
from lab.emulation import cache as caches
from lab.emulation.cache import Look, Say
from lab.emulation.reach import PARTS
from lab.set_up import DISTRIBUTION

ROOT = Path(__file__).resolve().parents[2]
# Not imported by a run, and large.
_LEFT_OUT = {"test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3", "site-packages"}
_KEPT_IMAGES = 4
_NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"


def image(folder: Path, say: Say) -> Path | None:
    """The image, from the cache or made now; None where it cannot be made (`say` tells why).

    Raises KernelError where the cache cannot be written.
    """
    caches.make_folder(folder)
    look = Signs(say, lambda: "making the emulated host's bundle of files").look
    _compile_suites(look)
    files = sorted(set(_files()))
    made = folder / f"bundle-{_key(files)}.ext4"
    with caches.lock(folder / "bundle.lock", say, "makes the emulated host's bundle"):
        if made.exists():
            made.touch()
            return made
        size = sum(path.stat().st_size for path in files)
        caches.need_room(folder, 3 * size, "the emulated host's bundle")
        with tempfile.TemporaryDirectory(prefix=".bundle-", dir=folder) as work:
            for path in files:
                copy = Path(work, "root", *path.parts[1:])
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, copy)
            fresh = Path(work, "image")
            # A block of 4 KiB and an inode a file, a third more for the folders.
            blocks = sum(path.stat().st_size // 4096 + 2 for path in files) * 4 // 3
            done = caches.run(
                [
                    *("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0"),
                    *("-N", str(len(files) * 4 // 3 + 1000), "-b", "4096"),
                    *("-d", Path(work, "root"), fresh, str(blocks + 4096)),
                ],
                look=look,
            )
            if done.returncode:
                say(f"mke2fs could not make the bundle: {done.stderr.strip()}")
                return None
            fresh.rename(made)
        _remove_old(folder)
    return made


def _compile_suites(look: Look) -> None:
    """Lets pytest compile the suites here: in an emulated host it would take seconds each time.

    Also where this host's own programs are told to keep no bytecode.
    """
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider"]
    run(
        command,
        look,
        cwd=ROOT,
        env={name: word for name, word in os.environ.items() if name != _NO_BYTECODE},
    )


def _files() -> Iterator[Path]:
    for name in PARTS:
        yield from _below(ROOT / name)
    yield from _below(Path(sysconfig.get_path("stdlib")))
    for name in _closure(DISTRIBUTION):
        yield from _of_distribution(name)
    prefix = Path(sys.prefix)
    yield from (path for path in prefix.glob("lib/python3*/site-packages/*.pth"))
    if (prefix / "pyvenv.cfg").exists():
        yield prefix / "pyvenv.cfg"
    # Where an installed package compiles to, for its own folder may not be written.
    if sys.pycache_prefix:
        yield from Path(sys.pycache_prefix).rglob(f"*.{sys.implementation.cache_tag}*.pyc")
    yield Path(os.path.realpath(sys.executable))
    yield from _mapped()


def _below(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    for folder, folders, names in os.walk(path):
        folders[:] = [each for each in folders if each not in _LEFT_OUT and each[0] != "."]
        yield from (Path(folder, each) for each in names if not each.endswith((".a", ".o")))


def _closure(root: str) -> set[str]:
    """A distribution and what it needs bare: what is an extra, no run of the suites imports."""
    found: set[str] = set()
    waiting = [root]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(name)
        waiting += [re.split(r"[^\w.-]", each)[0] for each in needs if "extra ==" not in each]
    return found


def _of_distribution(name: str) -> Iterator[Path]:
    for each in importlib.metadata.files(name) or []:
        path = Path(os.path.normpath(each.locate()))
        if path.is_file() and not path.is_symlink():
            yield path


def _mapped() -> Iterator[Path]:
    """Shared libraries of this process, and what the loader reads to find them."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        fields = line.split(None, 5)
        if len(fields) == 6 and fields[5].startswith("/"):
            path = Path(fields[5])
            if path.is_file():
                yield path
    yield from (path for path in (Path("/etc/ld.so.cache"),) if path.is_file())


def _key(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        status = path.stat()
        digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _remove_old(folder: Path) -> None:
    """Keeps the newest few; a machine that still reads one keeps it open."""
    images = sorted(folder.glob("bundle-*.ext4"), key=lambda path: path.stat().st_mtime)
    for path in images[:-_KEPT_IMAGES]:
        path.unlink(missing_ok=True)
