# SPDX-License-Identifier: GPL-2.0-only
"""What a payload takes of a distribution: its own programs, and this host's Python of that release.

Signed packages, unpacked into the cache: none of their scripts runs, and no program of another
architecture. This host's Python of the same release compiles for the payload's, for bytecode does
not depend on the architecture.
"""

from __future__ import annotations

import functools
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from lab.emulation import private_root
from lab.emulation.apt import MIRROR, Suite, mirror
from lab.emulation.arch import Board
from lab.emulation.cache import Say
from lab.emulation.debian import DEFAULT_MIRROR
from lab.emulation.errors import ChangedError, KernelError, NotInArchiveError

#: Where packages come from: the first that has them all. Debian 12 lacks an architecture.
SUITES = ("trixie", "forky", "sid")
_PROGRAMS = (
    *("base-files", "busybox-static"),
    *("python3", "python3-cffi-backend", "python3-msgspec"),
)
_FOR_COMPILERS = ("libc6-dev", "libpython3-dev", "linux-libc-dev")
_INTERPRETER = 3  # PT_INTERP (elf.h)


@dataclass(frozen=True)
class Systems:
    """The folders with the payload's programs and with this host's Python, both of one suite."""

    suite: str
    target: Path
    ours: Path

    @property
    def python(self) -> str:
        """The name of the payload's Python, such as python3.13."""
        return python_in(self.target)

    def compiler(self) -> list[str]:
        """The words before a Python program, for this host's. Raises KernelError."""
        program = self.ours / "usr/bin" / python_in(self.ours)
        loader = self.ours / interpreter(program).lstrip("/")
        libraries = ":".join(str(path) for path in sorted(self.ours.glob("usr/lib/*-linux-gnu*")))
        return [str(loader), "--library-path", libraries, str(program), "-I"]


def stored(board: Board, cache: Path) -> Systems | None:
    """Both, where they are in the cache: what was made stays, though all suites go on."""
    for name in SUITES:
        ours, target = (private_root.stored(*each, cache) for each in _asked(board, name))
        if ours and target:
            return Systems(name, target, ours)
    return None


def provide(board: Board, cache: Path, say: Say) -> Systems:
    """Both from the cache, or made now.

    A mirror may have lost what its lists name: then all comes from the next suite, and `say` is
    told. Raises KernelError as lab.emulation.debian.fetch().
    """
    if found := stored(board, cache):
        return found
    uri = os.environ.get(MIRROR, "").rstrip("/") or mirror() or DEFAULT_MIRROR
    last: KernelError | None = None
    for name in SUITES:
        try:
            # Ours first: where the suite cannot give it, nothing else of it was fetched.
            ours, target = (
                private_root.provide(*each, functools.partial(Suite, uri, name, of), cache, say)
                for of, each in zip(("", board.debian), _asked(board, name), strict=True)
            )
        except (NotInArchiveError, ChangedError) as error:
            last = error
        else:
            if python_in(ours) == python_in(target):
                return Systems(name, target, ours)
            last = KernelError(f"{name} has another Python for {board.debian} than for this host")
        say(f"{last}; taking the payload's packages of another suite")
    raise KernelError(f"no suite of {uri} can give a payload's packages: {last}")


def _asked(board: Board, suite: str) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Who asks for which packages: this host's, and the payload's."""
    theirs = (*_PROGRAMS, *_FOR_COMPILERS)
    return (
        (f"payload-{suite}-host", ("python3",)),
        (f"payload-{suite}-{board.debian}", theirs),
    )


def python_in(root: Path) -> str:
    """Which Python a root has. Raises KernelError."""
    found = [path.name for path in root.glob("usr/bin/python3.*")]
    names = sorted(name for name in found if re.fullmatch(r"python3\.\d+", name))
    if not names:
        raise KernelError(f"there is no Python in {root}; remove that folder, and call again")
    return names[-1]


def interpreter(program: Path) -> str:
    """The loader that an ELF program of 64 bits names. Raises KernelError."""
    data = program.read_bytes()
    order = "<" if data[5:6] == b"\x01" else ">"
    if data.startswith(b"\x7fELF\x02"):
        table, size, count = (
            struct.unpack_from(order + form, data, at)[0]
            for form, at in (("Q", 0x20), ("H", 0x36), ("H", 0x38))
        )
        for header in range(table, table + size * count, size):
            kind, _, start, *_, length, _, _ = struct.unpack_from(order + "IIQQQQQQ", data, header)
            if kind == _INTERPRETER:
                return data[start : start + length].rstrip(b"\0").decode()
    raise KernelError(f"{program} names no loader; remove {program.parents[2]}, and call again")
