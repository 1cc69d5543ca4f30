# SPDX-License-Identifier: GPL-2.0-only
"""Standard output and standard error that may be full, closed, or without a reader.

What is told is not what was found: a run goes on, and completes its results, also when nobody can
be told any more. So the streams drop what they cannot write, and remember it.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: The exit status where all was well but could not be told: the launcher's Exit.CANNOT_WRITE.
UNTOLD = os.EX_CANTCREAT

NAMES = {1: "standard output", 2: "standard error"}
_ATTRIBUTES = {1: "stdout", 2: "stderr"}


class _Sink(io.RawIOBase):
    """A descriptor. From the first error on it takes everything and writes nothing."""

    def __init__(self, descriptor: int, is_open: bool) -> None:
        self._descriptor = descriptor
        self._is_open = is_open
        self.lost = ""

    def write(self, data: ReadableBuffer, /) -> int:
        view = memoryview(data).cast("B")
        rest = view if not self.lost else view[:0]
        if rest and not self._is_open:
            self.lost = "it is closed"
            return len(view)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            self.lost = os.strerror(error.errno or 0)
        return len(view)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)


class Kept(io.TextIOWrapper):
    """A text stream in the place of sys.stdout or sys.stderr. It raises no OSError.

    `original` is the stream that it replaces, None where Python found the descriptor closed.
    """

    def __init__(self, original: TextIO | None, descriptor: int) -> None:
        self.name_for_people = NAMES[descriptor]
        self._sink = _Sink(descriptor, original is not None)
        as_before = original if isinstance(original, io.TextIOWrapper) else None
        # With PYTHONUNBUFFERED nothing stands between text and descriptor.
        unbuffered = as_before is not None and isinstance(as_before.buffer, io.RawIOBase)
        buffer: Any = self._sink if unbuffered else io.BufferedWriter(self._sink)
        super().__init__(
            buffer,
            encoding=as_before.encoding if as_before else "utf-8",
            errors=as_before.errors if as_before else "backslashreplace",
            line_buffering=as_before.line_buffering if as_before else False,
            write_through=as_before.write_through if as_before else False,
        )

    def lost(self) -> str:
        """Why something could not be written, or an empty text."""
        self.flush()
        return self._sink.lost


def keep(descriptor: int) -> Kept | None:
    """Replaces sys.stdout (1) or sys.stderr (2), for good.

    None where another stream than the process's own is in its place: that one is somebody else's.
    """
    name = _ATTRIBUTES[descriptor]
    stream = getattr(sys, name)
    if stream is not getattr(sys, f"__{name}__"):
        return None
    kept = Kept(stream, descriptor)
    setattr(sys, name, kept)
    return kept


@contextlib.contextmanager
def kept() -> Iterator[list[Kept]]:
    """Replaces both in the block, where they are the process's own."""
    before = sys.stdout, sys.stderr
    try:
        yield [made for made in map(keep, NAMES) if made is not None]
    finally:
        sys.stdout, sys.stderr = before


def open_missing() -> None:
    """Opens /dev/null where the process was started without descriptor 0, 1 or 2.

    Otherwise the next file that is opened gets that number, and with it all that is printed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number, for those below are open by now. Children have to get it.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
