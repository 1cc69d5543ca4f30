# SPDX-License-Identifier: GPL-2.0-only
"""The programs that boot an emulated host: are they here, and new enough?"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from harness.emulation.errors import EmulationError

OLDEST_QEMU = (7, 2)  # the oldest that KVM was seen to run in
OLDEST_VNG = (1, 40)  # pyproject.toml; the first with every option of machine.command
SETUP = "tools/bootstrap.sh --emulation"
# A program, Debian's package with it.
_NEEDED_BY_VNG = (
    ("systemd-udevd", "udev"),
    ("busybox", "busybox-static"),
    ("modprobe", "kmod"),
)


def check(qemu: str) -> None:
    """Raises `EmulationError` where a program is missing or too old; names Debian's package."""
    found = qemu_version(qemu)
    if _numbers(found) < OLDEST_QEMU:
        raise EmulationError(
            f"{qemu} is QEMU {found}, and {_text(OLDEST_QEMU)} or later is needed: upgrade "
            "Debian's package qemu-system-x86, or name another QEMU by --qemu"
        )
    vng_found = _vng_version()
    if _numbers(vng_found) < OLDEST_VNG:
        raise EmulationError(
            f"virtme-ng is {vng_found}, and {_text(OLDEST_VNG)} or later is needed: run "
            "`make setup`"
        )
    for name, package in _NEEDED_BY_VNG:
        found_at = shutil.which(name, path=_places())
        if found_at is None:
            raise EmulationError(
                f"virtme-ng needs {name}, which is missing here: run {SETUP}, or install Debian's "
                f"package {package}"
            )
        if name == "busybox" and _is_dynamic(found_at):
            raise EmulationError(
                f"virtme-ng puts busybox into the first file system of the machine, where no "
                f"library is, and {found_at} needs libraries: run {SETUP}, or install Debian's "
                f"package {package}"
            )


@functools.cache
def qemu_version(qemu: str) -> str:
    """QEMU's version, such as 7.2.22. Raises `EmulationError` where `qemu` is no QEMU."""
    path = shutil.which(qemu)
    if path is None:
        raise EmulationError(
            f"there is no {qemu}: run {SETUP}, or install Debian's package qemu-system-x86, or "
            "name another QEMU by --qemu"
        )
    found = re.search(r"QEMU.* version (\d+\.\d+[\d.]*)", _output(path, "--version"))
    if found is None:
        raise EmulationError(f"{path} is no QEMU: `{qemu} --version` names no version of QEMU")
    return found[1]


def vng() -> Path:
    """virtme-ng's command. Raises `EmulationError` where it is missing."""
    beside = Path(sys.executable).with_name("vng")
    other = shutil.which("vng")
    if not beside.exists() and other is None:
        raise EmulationError("virtme-ng is missing (the command vng): run `make setup`")
    return beside if beside.exists() else Path(str(other))


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


def _places() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/lib/systemd:/usr/lib/systemd"
