# SPDX-License-Identifier: GPL-2.0-only
"""Where lab/ puts its words. It knows no terminal: it speaks to whom it was handed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TextIO


class Speaker(ABC):
    """Tells people. A terminal is one (tools/screen/terminal.py), a file another."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Columns of a line."""

    @abstractmethod
    def out(self, text: str = "", colour: str | None = None) -> None:
        """A line of what was asked for."""

    @abstractmethod
    def err(self, text: str = "", colour: str | None = None) -> None:
        """A line on how it goes, or on what is wrong."""

    @abstractmethod
    def end_line(self) -> None:
        """Ends a line that another process may have left open where `err` goes."""

    def say(self, text: str) -> None:
        """A line about what takes long."""
        self.err(f"  {text}")

    def refuse(self, message: str, code: int) -> int:
        """Says what is wrong; the exit code."""
        self.err(f"Error: {message}")
        return code


class Written(Speaker):
    """Everything into one file, in the order in which it is told."""

    width = 100

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def out(self, text: str = "", colour: str | None = None) -> None:
        """A line of the file; it has no colours."""
        self._file.write(f"{text}\n")

    def err(self, text: str = "", colour: str | None = None) -> None:
        """As `out`."""
        self.out(text)

    def end_line(self) -> None:
        """Nobody else writes there."""
