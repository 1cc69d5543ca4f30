# SPDX-License-Identifier: GPL-2.0-only
"""How a soak is ended: by signals, and by the clock while it waits for processors."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from harness.kick.engine import Cancel
from lab.launch import stopping


class TimeIsUpError(Exception):
    """The time was over while nothing ran that could be cancelled."""


class SoakStop(stopping.Stop):
    """SIGINT and SIGTERM: the first ends the slice, a second one the program at once.

    In a wait, and from the second one on, a signal is a `StoppedError`.
    """

    def __init__(self) -> None:
        super().__init__(self._came)
        self.cancel = Cancel()
        self.waiting = False

    def _came(self, _stop: stopping.Stop) -> None:
        self.cancel.set()
        if self.waiting or self.count > 1:
            self.raise_it()

    @contextlib.contextmanager
    def interruptible(self, seconds: float) -> Iterator[None]:
        """For a wait that a flag does not end, until `no_longer_waiting`.

        Raises `StoppedError`, and `TimeIsUpError` after so many seconds.
        """
        before = signal.signal(signal.SIGALRM, self._time_is_up)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        self.waiting = True
        try:
            self.raise_it()
            yield
        finally:
            self.no_longer_waiting()
            signal.signal(signal.SIGALRM, before)

    def no_longer_waiting(self) -> None:
        """From here on a signal only sets flags."""
        self.waiting = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _time_is_up(self, _number: int, _frame: FrameType | None) -> None:
        if self.waiting:
            raise TimeIsUpError
