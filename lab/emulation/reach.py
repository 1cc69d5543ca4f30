# SPDX-License-Identifier: GPL-2.0-only
"""What a machine can read of this host: the files that boot it and run the suites in it."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lab.emulation import confine, programs

_CHECKOUT = Path(__file__).resolve().parents[2]
#: Of the checkout: what a run executes, and no version control, notes or results.
PARTS = (
    *("conftest.py", "pytest.ini", "pyproject.toml", "harness", "suites", "lab"),
    *("tools", "guest_blobs", "setup"),
)
# The system's programs; the last two are where some distributions have all of them.
_SYSTEM = (
    *("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"),
    *("/nix/store", "/gnu/store"),
)
# No secrets: those of /etc are in shadow, ssh, ssl/private and the like.
_SETTINGS = (
    *("alternatives", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "passwd", "group"),
    *("nsswitch.conf", "localtime", "os-release", "debian_version", "modprobe.d", "mke2fs.conf"),
)
_TRIAL_S = 60.0


def only(root: Path, paths: Iterable[Path]) -> list[str]:
    """The words before a command that let it see `paths` and the system's programs only.

    `root` is an empty folder. None where this host refuses that.
    """
    if why_not():
        return []
    words = [*_system(), *_python(), *(str(path) for path in paths if path != _CHECKOUT)]
    return [sys.executable, confine.__file__, str(root), *dict.fromkeys(words), "--"]


@functools.cache
def refused() -> str:
    """What confine.py says of this host, if it cannot work here; mostly empty."""
    with tempfile.TemporaryDirectory(prefix="kvm-conformance-root-") as root:
        words = [sys.executable, confine.__file__, root, *_system(), "--", "/bin/sh", "-c", ":"]
        try:
            done = subprocess.run(
                words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TRIAL_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    told = done.stderr.decode(errors="replace").strip().splitlines()
    why = told[-1] if told else f"exit code {done.returncode}"
    return why.removeprefix("confine: ") if done.returncode else ""


def why_not() -> str:
    """Why machines here can read more than they should, as a sentence; mostly empty."""
    if not refused():
        return ""
    return (
        "the kernel under test can read every file that this user can, in home folders too: "
        f"{refused()}; test only kernels that you trust with that, or allow user namespaces"
    )


def of_kernel(image: Path, modules: Path | None) -> Iterator[Path]:
    """The files of a kernel: an image with its folder of modules, or a build tree."""
    yield image
    if modules is not None:
        yield from (modules / "lib/modules", modules / "usr/lib/modules")
    elif image.parent.match("arch/*/boot"):
        yield image.parents[3]
    for name in ("config", "System.map"):
        yield from image.parent.glob(f"{name}*")


def of_qemu(qemu: str) -> Iterator[Path]:
    """QEMU's program, with the firmware that stands beside one of the user's own."""
    found = shutil.which(qemu, path=programs.places())
    if found is None:
        return
    real = Path(found).resolve()
    yield from (Path(found).absolute(), real)
    for place in (real.parent / "pc-bios", real.parents[1] / "share/qemu"):
        if place.is_dir():
            yield place


def named_in(options: Sequence[str]) -> Iterator[Path]:
    """The files that QEMU's options name by a whole path."""
    for word in options:
        for found in re.findall(r"(?:^|[=,:])(/[^,]+)", word):
            if (path := Path(found)).is_file():
                yield path


def _system() -> list[str]:
    return [*_SYSTEM, *(f"/etc/{name}" for name in _SETTINGS)]


def _python() -> Iterator[str]:
    yield from (str(_CHECKOUT / name) for name in PARTS)
    for path in (sys.prefix, sys.base_prefix, sys.base_exec_prefix, sys.executable):
        if path != "/":
            yield path
    yield str(programs.vng())
