# SPDX-License-Identifier: GPL-2.0-only
"""How a soak is ended: by signals, and by the clock while it waits for processors."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from harness.kick.engine import Cancel
from lab.launch.exit_codes import Exit


class StopError(Exception):
    """A signal came, or the time was over, while nothing ran that could be cancelled."""


class Stop:
    """SIGINT and SIGTERM: the first ends the slice, a second one the program at once."""

    def __init__(self) -> None:
        self.signal = 0
        self.cancel = Cancel()
        self.waiting = False

    def take(self, number: int, _frame: FrameType | None) -> None:
        """The handler."""
        again = bool(self.signal)
        self.signal = self.signal or number
        self.cancel.set()
        if self.waiting or again:
            raise StopError

    @contextlib.contextmanager
    def interruptible(self, seconds: float) -> Iterator[None]:
        """For a wait that a flag does not end, until `no_longer_waiting`. Raises `StopError`."""
        before = signal.signal(signal.SIGALRM, self._time_is_over)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        self.waiting = True
        try:
            if self.signal:
                raise StopError
            yield
        finally:
            self.no_longer_waiting()
            signal.signal(signal.SIGALRM, before)

    def no_longer_waiting(self) -> None:
        """From here on a signal only sets flags."""
        self.waiting = False
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _time_is_over(self, _number: int, _frame: FrameType | None) -> None:
        if self.waiting:
            raise StopError

    @contextlib.contextmanager
    def installed(self) -> Iterator[Stop]:
        """Handles both signals for the body."""
        before = {each: signal.signal(each, self.take) for each in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                # Who was stopped is about to end: more signals change nothing.
                signal.signal(number, signal.SIG_IGN if self.signal else handler)

    def exit_code(self) -> Exit | None:
        """130 or 143, or None without a signal."""
        if not self.signal:
            return None
        return Exit.of_signal(self.signal)
