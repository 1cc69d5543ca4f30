# SPDX-License-Identifier: GPL-2.0-only
"""A picture of what goes on, drawn anew on a terminal, and on nothing else."""

from __future__ import annotations

import sys
from typing import TypeVar

from rich.console import RenderableType
from rich.live import Live

from tools.screen import bench

_P = TypeVar("_P", bound="Picture")


class Picture:
    """Shown from the beginning of a block to its end; drawn by `draw` alone.

    A thread that draws would take a processor from a race. `console` is standard error.
    """

    def __init__(self) -> None:
        self.console = bench.console(stderr=True)
        self._live: Live | None = None
        if sys.stderr.isatty():
            self._live = Live(console=self.console, auto_refresh=False, transient=True)

    def __enter__(self: _P) -> _P:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    @property
    def is_live(self) -> bool:
        """Whether there is a terminal to draw on."""
        return self._live is not None

    def draw(self, drawn: RenderableType) -> None:
        """In the place of what was drawn before."""
        if self._live:
            self._live.update(drawn, refresh=True)
