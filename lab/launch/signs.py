# SPDX-License-Identifier: GPL-2.0-only
"""Signs of life of a run that the launcher started, told from outside by its journal.

From outside, for the process that runs tests must have no thread beside them, and because pytest
may be in another machine, or hang. What pytest prints goes past the launcher; it prints when the
journal has a result more.
"""

from __future__ import annotations

from pathlib import Path

from harness.reporting.standing import Follower
from harness.signs import Signs
from lab.launch.speaker import Speaker


class RunSigns:
    """The signs of one run; `look` is called now and then."""

    def __init__(self, journal: Path, to: Speaker) -> None:
        self._follower = Follower(journal)
        self._reported = self._follower.standing.reported
        self._before = ""
        self._to = to
        # Whether pytest's line of dots may be open where signs go.
        self._open = False
        self._signs = Signs(self._say, self._doing)

    def look(self, before: str = "") -> None:
        """Says a sign if it is time; `before`: what goes on before pytest can begin."""
        self._before = before
        news = self._follower.look()
        standing = self._follower.standing
        # When all are through, pytest writes lines that the journal does not tell.
        if news or 0 < standing.planned == len(standing.through):
            self._open = True
        if standing.reported != self._reported:
            self._reported = standing.reported
            self._signs.said()
        if not standing.ended:  # then comes the verdict, and nothing after it
            self._signs.look()

    def _doing(self) -> str:
        return self._before or self._follower.standing.describe()

    def _say(self, text: str) -> None:
        if self._open:
            self._to.end_line()
        self._open = False
        self._to.say(text)
