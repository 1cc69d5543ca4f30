# SPDX-License-Identifier: GPL-2.0-only
"""Files by a console that may drop bytes, and on which others speak: numbered and checked lines.

    @kvm-conformance NUMBER FILE + DATA CHECKSUM

NUMBER counts all lines of one machine from 0. DATA is base64; the sign before it is + where it
begins a line of the file, and - where it goes on with one. CHECKSUM is the CRC-32 of all before
it, in hexadecimal. The last line's FILE is `end`, and its data the exit status. What a console puts
before such a line, a time for instance, is no harm; a line with more in it is lost, and noticed.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

MARK = "@kvm-conformance"
END = "end"
_BYTES = 360  # of a file in one line: 480 characters, which a terminal's line discipline passes on
_LINE = re.compile(
    rf"{MARK} (?P<number>\d{{1,9}}) (?P<file>[a-z][a-z0-9.-]{{0,40}}) (?P<sign>[+-]) "
    r"(?P<data>[A-Za-z0-9+/=]*) (?P<sum>[0-9a-f]{8})"
)


class Framer:
    """Gives each piece of a file as lines, to be written with `write`."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._number = 0

    def file(self, name: str, data: bytes) -> None:
        """More of a file: whole lines of it, or its end."""
        for line in data.splitlines(keepends=True):
            for at in range(0, len(line), _BYTES):
                self._frame(name, "-" if at else "+", line[at : at + _BYTES])

    def end(self, status: int) -> None:
        """The last line. Without it nobody knows whether there were more."""
        self._frame(END, "+", str(status).encode())

    def _frame(self, name: str, sign: str, data: bytes) -> None:
        text = f"{MARK} {self._number} {name} {sign} {base64.b64encode(data).decode()}"
        self._write(f"{text} {zlib.crc32(text.encode()):08x}\n")
        self._number += 1


@dataclass
class Unframed:
    """What came through: files, the exit status, and how many lines did not come whole.

    `status` is None where the end did not come. A line of a file of which a part is lost is left
    out of it.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    status: int | None = None
    lost: int = 0


def unframed(console: str) -> Unframed:
    """Reads what a machine has written on its console. Lines that come twice count once."""
    found = Unframed()
    pending: dict[str, bytes | None] = {}  # a line of a file that has begun; None: a part is lost
    expected = 0
    for number, name, begins, data in _lines(console):
        if number < expected:
            continue
        if number > expected:
            found.lost += number - expected
            pending = dict.fromkeys(pending)
        expected = number + 1
        if name == END:
            found.status = int(data) if re.fullmatch(rb"-?\d{1,3}", data) else None
            continue
        so_far = b"" if begins else pending.get(name)
        pending[name] = None if so_far is None else so_far + data
        if data.endswith(b"\n") and (line := pending.pop(name)) is not None:
            found.files[name] = found.files.get(name, b"") + line
    for name, rest in pending.items():  # a last line without an end
        found.files[name] = found.files.get(name, b"") + (rest or b"")
    return found


def _lines(console: str) -> Iterator[tuple[int, str, bool, bytes]]:
    for line in _LINE.finditer(console):
        text = line[0].rpartition(" ")[0]
        if f"{zlib.crc32(text.encode()):08x}" == line["sum"]:
            yield (
                int(line["number"]),
                line["file"],
                line["sign"] == "+",
                base64.b64decode(line["data"]),
            )
