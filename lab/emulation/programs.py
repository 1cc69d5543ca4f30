# SPDX-License-Identifier: GPL-2.0-only
"""The programs that emulated hosts and broken KVMs take: are they here, and new enough?

setup/programs.txt lists them, for the set-up and for this module.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lab import set_up
from lab.emulation import arch
from lab.emulation.arch import Foreign
from lab.emulation.errors import EmulationError

LIST = Path(__file__).resolve().parents[2] / "setup" / "programs.txt"
OLDEST_QEMU = (7, 2)  # the oldest that KVM was seen to run in
OLDEST_VNG = (1, 40)  # pyproject.toml; the first with every option of machine.command
#: The target of make that makes each use of the list possible.
_TARGETS = {
    "emulation": "make setup-emulation",
    "archive": "make setup-emulation",
    "sources": "make setup-mutants",
    "mutation": "make setup-mutants",
    "compiler": "make setup-mutants",
}
_OTHERWISE = "make setup-architectures"
_STATIC = "static:"


@dataclass(frozen=True)
class Program:
    """A line of the list: `name` as it stands there, Debian's `package`, and what it is for."""

    name: str
    package: str
    uses: frozenset[str]

    def is_here(self) -> bool:
        """Whether this host has it: a program, a library, or a file."""
        if self.name.startswith("/"):
            return Path(self.name).exists()
        if re.match(r"lib.*\.so", self.name):
            with contextlib.suppress(OSError):
                return bool(ctypes.CDLL(self.name))
            return False
        found = shutil.which(self.name.removeprefix(_STATIC), path=places())
        return found is not None and not (self.name.startswith(_STATIC) and _is_dynamic(found))

    def describe(self) -> str:
        """Its name for people."""
        static = self.name.startswith(_STATIC)
        return f"a static {self.name.removeprefix(_STATIC)}" if static else self.name


@functools.cache
def listed() -> tuple[Program, ...]:
    """The list."""
    lines = (line.split() for line in LIST.read_text(encoding="utf-8").splitlines())
    return tuple(
        Program(words[0], words[1], frozenset(words[2].split(",")))
        for words in lines
        if words and words[0] != "#"
    )


def package_of(name: str) -> str:
    """Debian's package with a program. Raises KeyError for one that the list lacks."""
    return {each.name.removeprefix(_STATIC): each.package for each in listed()}[name]


def need(*uses: str) -> None:
    """Raises `EmulationError`, which names all that is missing here for these uses."""
    _need([each for each in listed() if each.uses.intersection(uses)], uses[0])


def check(qemu: str, *more: str, foreign: Foreign | None = None) -> None:
    """Raises `EmulationError` unless this host can boot a machine with the QEMU of this name.

    `more` are further uses. Everything that is missing is named at once.
    """
    of = foreign.architecture if foreign else arch.here()
    own = [Program(qemu, of.qemu_package, frozenset())] if qemu != of.qemu else []
    uses = (of.machine, "payload", *more) if foreign else ("emulation", *more)
    wanted = [
        each
        for each in listed()
        if each.uses.intersection(uses) and (not own or each.name != of.qemu)
    ]
    _need([*own, *wanted], more[0] if more else uses[0], boots=not foreign)
    need_version(qemu, OLDEST_QEMU, "", of.qemu_package)
    if foreign:
        return
    vng_found = _vng_version()
    if _numbers(vng_found) < OLDEST_VNG:
        raise EmulationError(
            f"virtme-ng is {vng_found}, and {_text(OLDEST_VNG)} or later is needed: run "
            f"`{set_up.command('emulate')}`"
        )


def need_version(qemu: str, oldest: tuple[int, ...], what: str, package: str) -> None:
    """Raises `EmulationError` where QEMU is older than `what` needs."""
    found = qemu_version(qemu, package)
    if _numbers(found) < oldest:
        raise EmulationError(
            f"{qemu} is QEMU {found}, and {_text(oldest)} or later is needed{what}: upgrade "
            f"Debian's package {package}, or name another QEMU by --qemu"
        )


def _need(wanted: Sequence[Program], use: str, *, boots: bool = False) -> None:
    lacking = [each for each in wanted if not each.is_here()]
    names = [each.describe() for each in lacking]
    without_vng = boots and _found_vng() is None
    if without_vng:
        names.append("virtme-ng, a Python package")
    if names:
        packages = list(dict.fromkeys(each.package for each in lacking))
        way = way_out(use, packages, without_vng=without_vng)
        raise EmulationError(f"missing on this host: {', '.join(names)}; {way}")


def way_out(use: str, packages: Sequence[str], *, without_vng: bool = False) -> str:
    """What brings Debian's packages and virtme-ng, as the end of a sentence."""
    plural = "" if len(packages) == 1 else "s"
    install = f"install Debian's package{plural} {' '.join(packages)}" if packages else ""
    if set_up.IS_CHECKOUT:
        make = f"run `{_TARGETS.get(use, _OTHERWISE)}`"
        return make if without_vng else f"{make}, or {install}"
    pip = f"run `{set_up.command('emulate')}`" if without_vng else ""
    return " and ".join(filter(None, (install, pip)))


@functools.cache
def qemu_version(qemu: str, package: str = "") -> str:
    """QEMU's version, such as 7.2.22. Raises `EmulationError` where `qemu` is no QEMU."""
    path = shutil.which(qemu, path=places())
    if path is None:
        raise EmulationError(
            f"there is no {qemu}: "
            f"{way_out('emulation', [package or arch.here().qemu_package])}, "
            "or name another QEMU by --qemu"
        )
    found = re.search(r"QEMU.* version (\d+\.\d+[\d.]*)", _output(path, "--version"))
    if found is None:
        raise EmulationError(f"{path} is no QEMU: `{qemu} --version` names no version of QEMU")
    return found[1]


def vng() -> Path:
    """virtme-ng's command. Raises `EmulationError` where it is missing."""
    found = _found_vng()
    if found is None:
        way = way_out("emulation", [], without_vng=True)
        raise EmulationError(f"virtme-ng is missing (the command vng): {way}")
    return found


def _found_vng() -> Path | None:
    beside = Path(sys.executable).with_name("vng")
    found = beside if beside.exists() else shutil.which("vng")
    return Path(found) if found else None


def _vng_version() -> str:
    path = vng()
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version("virtme-ng")
    return _output(str(path), "--version").removeprefix("virtme-ng").strip()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d+", version)[:2])


def _text(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))


def _is_dynamic(path: str) -> bool:
    # ldd names each library as "name => file"; where it is missing, booting has to tell.
    return "=>" in _output("ldd", path)


def _output(*words: str) -> str:
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout


def places() -> str:
    """Where programs are looked for: users other than root often have no sbin in their PATH."""
    return (
        f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin:/lib/systemd:/usr/lib/systemd"
    )
