# SPDX-License-Identifier: GPL-2.0-only
"""A signal that stops this process while a machine runs: an exception, and not at a bad moment."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StoppedError(Exception):
    """SIGINT, SIGTERM or SIGHUP came."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number


# Of the main thread, in which Python's handlers run: how many blocks hold it off, and what came.
_holding = 0
_late: list[StoppedError] = []


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Raises `StoppedError` in the block when the first SIGINT, SIGTERM or SIGHUP comes."""
    came: list[int] = []

    def take(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            return
        error = StoppedError(signal.Signals(number))
        if not _holding:
            raise error
        _late.append(error)

    before = {number: signal.signal(number, take) for number in _NUMBERS}
    try:
        yield
    finally:
        for number, handler in before.items():
            # A second one would only disturb what completes the results.
            signal.signal(number, signal.SIG_IGN if came else handler)


@contextlib.contextmanager
def held_off() -> Iterator[None]:
    """Puts `StoppedError` off until the block has ended: what ends a machine is done whole."""
    global _holding
    _holding += 1
    try:
        yield
    finally:
        _holding -= 1
        if _late and not _holding:
            raise _late.pop()
