# SPDX-License-Identifier: GPL-2.0-only
"""Stand-ins for the programs of setup/programs.txt, for machines that are only played.

With them lab.emulation.programs is asked as ever, and tests need none of the programs.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from lab.emulation import programs
from lab.emulation.programs import Program

#: The uses of what --dev of the set-up brings.
DEV = ("blobs", "tests", "consumers", "fresh")
QEMU_VERSION = "9.9.0"
_STAND_IN = f"#!/bin/sh\necho 'QEMU emulator version {QEMU_VERSION} (a stand-in)'\n"


def packages(*uses: str) -> dict[str, str]:
    """Debian's package by the plain name of each program with one of these uses.

    Without libraries and other files, for which nothing in a PATH can stand in.
    """
    return {
        each.name.removeprefix("static:"): each.package
        for each in programs.listed()
        if each.uses.intersection(uses) and "/" not in each.name and ".so" not in each.name
    }


def why_not(*uses: str) -> str:
    """Why a test cannot run that takes the programs with these uses; empty where they are here."""
    return _lacking(each for each in programs.listed() if each.uses & {*uses})


def need(*names: str) -> None:
    """Skips the test unless these programs of setup/programs.txt are here."""
    wanted = {each.name: each for each in programs.listed()}
    if said := _lacking(wanted[name] for name in names):
        pytest.skip(said)


def _lacking(wanted: Iterable[Program]) -> str:
    missing = [each for each in wanted if not each.is_here()]
    packages = " ".join(dict.fromkeys(each.package for each in missing))
    names = ", ".join(each.describe() for each in missing)
    return f"no_tools: {names} (Debian's packages {packages})" if missing else ""


def make(folder: Path, *uses: str) -> Path:
    """A folder with a stand-in for each of these programs."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in packages(*uses):
        (folder / name).write_text(_STAND_IN)
        (folder / name).chmod(0o755)
    return folder
