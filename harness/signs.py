# SPDX-License-Identifier: GPL-2.0-only
"""Signs of life: a line whenever work has gone on for a while without one."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

#: Seconds that may pass without a line.
EVERY_S = 10.0
_TICK_S = 0.5


class Signs:
    """The signs of one piece of work, which begins now.

    Whoever does the work calls `look` now and then, and `said` when it printed something itself.
    A sign tells how old the work is, in seconds, and what `doing` returns.
    """

    def __init__(
        self,
        say: Callable[[str], None],
        doing: Callable[[], str],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = say
        self._doing = doing
        self._clock = clock
        self._began = self._last = clock()

    def said(self) -> None:
        """Something was printed."""
        self._last = self._clock()

    def look(self, ahead_s: float = 0.0) -> None:
        """Says a sign if it is time; `ahead_s`: for so long nobody is going to look again."""
        now = self._clock()
        if now + ahead_s - self._last >= EVERY_S:
            self._last = now
            with contextlib.suppress(OSError):  # whoever read has gone: the work goes on
                self._say(f"... {now - self._began:.0f} s: {self._doing()}")


def run(
    words: Sequence[str],
    look: Callable[[], None],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.CompletedProcess[str]:
    """Runs a program without a terminal to its end, and calls `look` now and then.

    Raises OSError where it cannot be started. Whatever is raised, the program has ended.
    """
    with subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        cwd=cwd,
        env=env,
        pass_fds=pass_fds,
    ) as child:
        try:
            while True:
                look()  # at a program that is over at once, too
                with contextlib.suppress(subprocess.TimeoutExpired):
                    output, errors = child.communicate(timeout=_TICK_S)
                    break
        except BaseException:
            child.kill()
            raise
    return subprocess.CompletedProcess(words, child.returncode, output, errors)
