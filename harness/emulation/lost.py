# SPDX-License-Identifier: GPL-2.0-only
"""A machine that was lost: an outcome of its own."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LostVm:
    """The machine panicked, hung or vanished. `why` is a sentence without its full stop.

    `panic` is the kernel's own line, if it said one; `console` its last lines.
    """

    why: str
    panic: str
    console: tuple[str, ...]

    def describe(self) -> str:
        """The sentence, with what the kernel said."""
        return f"{self.why}: {self.panic}" if self.panic else self.why
