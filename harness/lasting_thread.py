# SPDX-License-Identifier: GPL-2.0-only
"""A thread whose end is certain, for one that uses memory which is freed after it.

Not by `threading.Thread` alone: up to Python 3.12 a join() that Ctrl-C interrupts calls the living
thread stopped, and a start() that is interrupted may have started it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable


class LastingThread:
    """Runs `body` on a thread of its own. Whoever starts it calls `join` or `settle` in the end."""

    def __init__(self, body: Callable[[], None], name: str) -> None:
        self._body = body
        self._guard = threading.Lock()
        self._over = threading.Event()
        self._begun = self._abandoned = False
        self._thread = threading.Thread(target=self._run, name=name)

    def _run(self) -> None:
        with self._guard:
            if self._abandoned:
                return
            self._begun = True
        try:
            self._body()
        finally:
            self._over.set()

    def start(self) -> None:
        """Starts it. Whatever this raises, `settle` says then whether it runs."""
        self._thread.start()

    def over(self) -> bool:
        """Whether the body has returned."""
        return self._over.is_set()

    def join(self, timeout_s: float | None = None) -> None:
        """Waits until the body has returned, or the time is over; a Ctrl-C ends the waiting."""
        if self._over.wait(timeout_s):
            self._thread.join()

    def settle(self, stop: Callable[[], None]) -> None:
        """After an exception: asks the body to return, and waits for it through each Ctrl-C.

        `stop` may be called again. A body that has not begun never will. What it uses may be freed
        afterwards.
        """
        while True:
            with contextlib.suppress(KeyboardInterrupt):
                stop()
                self._wait_out()
                return

    def _wait_out(self) -> None:
        with self._guard:
            self._abandoned = not self._begun
        if self._begun:
            self.join()
