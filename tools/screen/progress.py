# SPDX-License-Identifier: GPL-2.0-only
"""How far many runs are: a table that is drawn anew on a terminal.

Elsewhere a line for each change, and signs of life when there was none for a while.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from rich.table import Table

from harness.reporting.standing import Follower
from harness.signs import Signs
from lab.campaign.side_by_side import OVER, PREPARED, Stage, Task
from lab.emulation.console import last_lines
from lab.launch import finish
from tools.screen.live import Picture

_REDRAW_S = 0.5


class CampaignProgress(Picture):
    """Shows the runs; `busy_only`: on a terminal those that go on, and of the others a count."""

    def __init__(self, runs: Sequence[Task], *, busy_only: bool = False) -> None:
        super().__init__()
        self._runs = runs
        self._busy_only = busy_only
        self._journals = {run.folder: Follower(run.folder / finish.JOURNAL) for run in runs}
        self._stages = {run.folder: "" for run in runs}
        self._signs = Signs(self._print, self._summary)
        self._drawn = 0.0

    def show(self) -> None:
        """The state now."""
        now = time.monotonic()
        if not self.is_live:
            for run in self._runs:
                self._line(run)
            self._signs.look()
        elif now - self._drawn >= _REDRAW_S:
            self._drawn = now
            self.draw(self._table())

    def _print(self, text: str) -> None:
        self.console.print(text, soft_wrap=True)
        self._signs.said()

    def _line(self, run: Task) -> None:
        """A line at each new stage."""
        stage, text = self._state(run)
        if stage == self._stages[run.folder]:
            return
        self._stages[run.folder] = stage
        if stage not in (Stage.WAITING.value, Stage.READY.value):
            seconds = f", {run.age_s:.0f} s" if run.age_s >= 1 else ""
            self._print(f"{run.name}: {text}{seconds}")

    def _summary(self) -> str:
        """All in a line: how many are over, and what goes on."""
        busy = [run for run in self._runs if run.stage in (Stage.PREPARING, Stage.RUNNING)]
        told = [f"{run.name}: {self._state(run)[1]}{_word(run)}, {run.age_s:.0f} s" for run in busy]
        over = sum(run.stage in OVER for run in self._runs)
        return "; ".join([f"{over} of {len(self._runs)} over", *told])

    def _table(self) -> Table:
        made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        made.add_column("run" if self._busy_only else "kernel", no_wrap=True)
        made.add_column("state")
        made.add_column("s", justify="right", no_wrap=True)
        for run in self._shown():
            timed = run.stage is not Stage.READY and run.age_s >= 1
            made.add_row(run.name, self._state(run)[1], f"{run.age_s:.0f}" if timed else "")
        if self._busy_only:
            done = [run for run in self._runs if run.stage in OVER]
            words = Counter(run.ending for run in done)
            told = ", ".join(f"{number} {word}" for word, number in words.most_common())
            made.add_row(f"{len(done)} of {len(self._runs)}", told, "")
        return made

    def _shown(self) -> Sequence[Task]:
        if not self._busy_only:
            return self._runs
        return [run for run in self._runs if run.stage in (Stage.PREPARING, Stage.RUNNING)]

    def _state(self, run: Task) -> tuple[str, str]:
        """A word that changes with the stage, and the text."""
        if run.stage is not Stage.RUNNING:
            if run.stage not in OVER:
                return run.stage.value, run.stage.value
            kept = ", kept from an earlier run" if run.stage is Stage.KEPT else ""
            why = f": {run.reason}" if run.reason else ""
            return run.stage.value, f"{run.ending}{kept}{why}"
        planned, done, bad = self._count(run)
        if not planned:
            again = " again" if run.attempts > 1 else ""
            return f"booting{again}", f"{run.starting}{again}"
        failed = f", {bad} failed" if bad else ""
        return "testing", f"testing, {done} of {planned}{failed}"

    def _count(self, run: Task) -> tuple[int, int, int]:
        """Tests planned, done, and done with a failure."""
        journal = self._journals[run.folder]
        journal.look()
        standing = journal.standing
        return standing.planned, len(standing.through), standing.failed


def _word(run: Task) -> str:
    """What a run says itself of how it is being prepared."""
    told = last_lines(run.folder / PREPARED, 1) if run.stage is Stage.PREPARING else []
    return f" ({told[0].strip()})" if told else ""
