# SPDX-License-Identifier: GPL-2.0-only
"""The signals that ask a command to stop: taken in one place, remembered, and given back.

Who looks now and then reads `Stop.first`. Who waits for something that does not look wants an
exception in the midst of it, `StoppedError`; `stoppable` raises it, and not at a bad moment.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from lab.launch.exit_codes import Exit

#: The last one comes when a terminal is closed.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StoppedError(KeyboardInterrupt):
    """A signal came. As Python's own for Ctrl-C it is no Exception: no error of the work itself."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number


class Stop:
    """What came: the `first` signal, how many in all, and how many `interrupts` among them.

    `then` is called in the handler, after each of them; what it raises is raised wherever the main
    thread is, also in a system call that waits.
    """

    def __init__(self, then: Callable[[Stop], None] = lambda _stop: None) -> None:
        self.first: signal.Signals | None = None
        self.count = 0
        self.interrupts = 0
        self._then = then

    def take(self, number: int, _frame: FrameType | None) -> None:
        """The handler."""
        self.first = self.first or signal.Signals(number)
        self.count += 1
        self.interrupts += number == signal.SIGINT
        self._then(self)

    @contextlib.contextmanager
    def taken(
        self, numbers: Sequence[signal.Signals] = SIGNALS, *, ignored_after: bool = True
    ) -> Iterator[Stop]:
        """Takes these signals for the block, and gives the old handlers back.

        Unless one has come and they are `ignored_after` that: then this process is about to end,
        and more of them would only disturb what completes the results.
        """
        before = {number: signal.signal(number, self.take) for number in numbers}
        try:
            yield self
        finally:
            for number, handler in before.items():
                ignored = ignored_after and self.first is not None
                signal.signal(number, signal.SIG_IGN if ignored else handler)

    def raise_it(self) -> None:
        """Raises `StoppedError` if a signal came."""
        if self.first is not None:
            raise StoppedError(self.first)

    @property
    def code(self) -> Exit | None:
        """The exit code for it, None without a signal."""
        return None if self.first is None else Exit.of_signal(self.first)


# Of the main thread, in which Python's handlers run: how many blocks hold it off, and what came.
_holding = 0
_late: list[StoppedError] = []


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Raises `StoppedError` in the block when the first signal comes; more change nothing."""

    def then(stop: Stop) -> None:
        if stop.first is None or stop.count > 1:
            return
        if not _holding:
            stop.raise_it()
        _late.append(StoppedError(stop.first))

    with Stop(then).taken():
        yield


@contextlib.contextmanager
def held_off() -> Iterator[None]:
    """Puts `stoppable`'s error off until the block has ended: what ends a machine is done whole."""
    global _holding
    _holding += 1
    try:
        yield
    finally:
        _holding -= 1
        if _late and not _holding:
            raise _late.pop()
