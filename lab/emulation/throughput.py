# SPDX-License-Identifier: GPL-2.0-only
"""A mirror that drips: it answers, so that no time-out of apt's is over, and nothing gets ready."""

from __future__ import annotations

import time
from collections.abc import Callable

from lab.emulation.errors import OfflineError

#: Bytes in so many seconds, below which a mirror is given up: 1 kB a second, two days for a kernel.
LEAST = 120_000
WINDOW_S = 120.0


class Throughput:
    """Looks at what was fetched from `uri` so far; `size` gives it in bytes."""

    def __init__(
        self,
        uri: str,
        size: Callable[[], int],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._uri = uri
        self._size = size
        self._clock = clock
        self._since, self._had = clock(), size()

    def look(self) -> None:
        """Raises OfflineError when it is too slow."""
        now = self._clock()
        if now - self._since < WINDOW_S:
            return
        has = self._size()
        if has - self._had < LEAST:
            raise OfflineError(
                f"{self._uri} is too slow: {max(has - self._had, 0)} bytes in "
                f"{now - self._since:.0f} s; try again, or name another mirror"
            )
        self._since, self._had = now, has
