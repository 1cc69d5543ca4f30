# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's own parser of results and runner of tests, out of Debian's sources of a kernel.

    .venv/bin/python -m tests.kernel_tools [SUITE]

prints a folder in which `tools/testing/kunit` and what runs `tools/testing/selftests` stand as in
a kernel's tree. The sources (140 MB) are fetched once, by the code that fetches kernels: signed
lists, checked hashes. Tests by themselves fetch nothing: KUNIT and KSELFTEST name these folders.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from harness.signs import Signs
from lab.emulation import cache, programs
from lab.emulation.apt import Apt, Package, Suite
from lab.emulation.cache import Say
from lab.emulation.debian import Archive, unpack, version_key
from lab.emulation.debian_source import take_out
from lab.emulation.errors import EmulationError, NotInArchiveError
from lab.emulation.stored import lock_of, mark_used

SELFTESTS = "tools/testing/selftests"
TAKEN = (
    "tools/testing/kunit",
    *(f"{SELFTESTS}/{name}" for name in ("Makefile", "lib.mk", "run_kselftest.sh", "kselftest")),
    "scripts/subarch.include",
)


def named(variable: str, what: str) -> Path:
    """What a variable names; where it names nothing the test is skipped."""
    if given := os.environ.get(variable):
        return Path(given)
    pytest.skip(f"no_{variable.lower()}: {variable} names no {what} of a kernel's tree")


def fetch(suite: str, root: Path, say: Say) -> Path:
    """The folder, of a suite's newest kernel. Raises `EmulationError`."""
    programs.need("sources", "archive")
    cache.make_folder(root)
    apt = Apt(root, say)
    package = _newest(apt.packages(Suite(Archive(apt, say).uri, suite)), suite)
    done = root / "debian" / "kernel-tools" / f"{package.name}_{package.version}"
    with cache.lock(lock_of(done), say, f"unpacks {package.name}") as held:
        if not done.is_dir():
            _make(done, package, apt, say, held)
    mark_used(done)
    return done


def _newest(packages: list[Package], suite: str) -> Package:
    sources = [each for each in packages if re.fullmatch(r"linux-source-[\d.]+", each.name)]
    if not sources:
        raise NotInArchiveError(f"{suite} has no package linux-source")
    return max(sources, key=lambda package: version_key(package.version))


def _make(done: Path, package: Package, apt: Apt, say: Say, held: int) -> None:
    part, debs = done.with_name(f"{done.name}.part"), done.with_name(f"{done.name}.debs")
    cache.make_folder(debs)
    room = package.size + package.installed_size
    cache.need_room(debs, room, package.name)
    say(f"fetching {package.name} ({package.version}), {cache.megabytes(package.size)}")
    shutil.rmtree(part, ignore_errors=True)
    look = Signs(say, lambda: f"unpacking {package.name}").look
    try:
        unpack(apt.download([package], debs, held), part / "package", held, look)
        packed = next((part / "package/usr/src").glob("linux-source-*.tar.xz"))
        (part / "taken").mkdir()
        take_out(packed, TAKEN, part / "taken", held, look)
        (part / "taken").rename(done)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    shutil.rmtree(debs, ignore_errors=True)


def main(arguments: list[str]) -> int:
    """The command line; the exit code."""
    suite = arguments[0] if arguments else "bookworm"
    try:
        print(fetch(suite, cache.root(), lambda text: print(text, file=sys.stderr)))
    except EmulationError as error:
        print(f"kernel_tools: {error}", file=sys.stderr)
        return 70
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
