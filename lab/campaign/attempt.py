# SPDX-License-Identifier: GPL-2.0-only
"""What a run has under way.

That is a process of its own (lab/campaign/child.py), or a machine that was asked and judges others
as well (lab/mutation/asked.py).
"""

from __future__ import annotations

import signal
from typing import Protocol


class Attempt(Protocol):
    """It was begun when it was made."""

    def look(self) -> int | None:
        """The exit code once it has ended, None while it goes on. To be called now and then."""

    def interrupt(self) -> None:
        """Asks it to end in order."""

    def kill(self, number: signal.Signals) -> None:
        """Sends this signal to all of its processes."""

    def is_gone(self) -> bool:
        """Whether it has ended, and no process of it is left."""
