# SPDX-License-Identifier: GPL-2.0-only
"""Standard output and standard error, for people who look at them."""

from __future__ import annotations

import os
import shutil

import click

from lab.launch.speaker import Speaker


class Terminal(Speaker):
    """The speaker of every command."""

    @property
    def width(self) -> int:
        """Columns of the terminal, 80 where there is none."""
        return shutil.get_terminal_size((80, 24)).columns

    def out(self, text: str = "", colour: str | None = None) -> None:
        """A line to standard output."""
        click.secho(text, fg=colour)

    def err(self, text: str = "", colour: str | None = None) -> None:
        """A line to standard error."""
        click.secho(text, fg=colour, err=True)

    def end_line(self) -> None:
        """Ends a line of standard output where both streams go to one place."""
        if _one_place():
            self.err()


TERMINAL = Terminal()


def _one_place() -> bool:
    """Whether standard output and standard error go to one terminal, pipe or file."""
    try:
        return os.path.samestat(os.fstat(1), os.fstat(2))
    except OSError:
        return False
