# SPDX-License-Identifier: GPL-2.0-only
"""A machine that was lost: an outcome of its own."""

from __future__ import annotations

from dataclasses import dataclass

from lab.launch.speaker import Speaker


@dataclass(frozen=True)
class LostVm:
    """The machine panicked, hung or vanished. `why` is a sentence without its full stop.

    `panic` is the kernel's own line, if it said one; `console` its last lines; `booted`: user space
    was reached, so that it was the tests that the kernel did not survive.
    """

    why: str
    panic: str
    console: tuple[str, ...]
    booted: bool = True

    @property
    def against_kernel(self) -> bool:
        """Whether the loss speaks against the kernel under test: its tests made it panic."""
        return self.booted and bool(self.panic)

    def describe(self) -> str:
        """The sentence, with what the kernel said."""
        return f"{self.why}: {self.panic}" if self.panic else self.why

    def show_console(self, to: Speaker) -> None:
        """Tells its last lines."""
        to.err("The console's last lines:")
        for line in self.console:
            to.err(f"  {line}")
