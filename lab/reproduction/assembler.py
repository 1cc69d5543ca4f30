# SPDX-License-Identifier: GPL-2.0-only
"""Guest code by the compiler that built the extension: its bytes beside its source."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Of GNU as' listing: the line's number, where it is, its bytes in groups of four.
_BYTES = re.compile(r"^ *(\d+) [0-9a-f]{4} ([0-9A-F]+)\s")
_MORE = re.compile(r"^ *(\d+) +([0-9A-F]+)\s*$")


class AssemblerError(Exception):
    """The code cannot be made here; the text says why."""


@dataclass(frozen=True)
class CodeLine:
    """A line of the source, and its bytes: none of a label."""

    code: bytes
    text: str


def assemble(source: Sequence[str]) -> list[CodeLine]:
    """The lines with their bytes. Raises `AssemblerError`."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "guest.s").write_text("\n".join([*source, ""]), encoding="ascii")
        words = [
            *compiler,
            "-c",
            "-x",
            "assembler",
            "-Wa,-aln=guest.lst",
            "-o",
            "guest.o",
            "guest.s",
        ]
        try:
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        except OSError as error:
            raise AssemblerError(f"{compiler[0]}: {error.strerror}") from error
        if done.returncode:
            raise AssemblerError(f"{compiler[0]} makes no guest code: {done.stderr.strip()}")
        listing = (Path(folder) / "guest.lst").read_text(encoding="utf-8", errors="replace")
    found: dict[int, bytes] = {}
    for line in listing.splitlines():
        if matched := _BYTES.match(line) or _MORE.match(line):
            number = int(matched[1])
            found[number] = found.get(number, b"") + bytes.fromhex(matched[2])
    return [
        CodeLine(found.get(number, b""), text.strip())
        for number, text in enumerate(source, start=1)
    ]


def labels(code: Sequence[CodeLine]) -> dict[str, int]:
    """Where each label stands, bytes from the beginning."""
    found, place = dict[str, int](), 0
    for each in code:
        if each.text.endswith(":"):
            found[each.text[:-1]] = place
        place += len(each.code)
    return found
