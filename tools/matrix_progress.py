# SPDX-License-Identifier: GPL-2.0-only
"""How far many runs are: a table that is drawn anew on a terminal, else a line for each change."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence

from rich.live import Live
from rich.table import Table

from harness.reporting import journal as journals
from tools import bench_report, finish
from tools.side_by_side import OVER, Run, Stage

LINES_EVERY_S = 30.0
_REDRAW_S = 0.5


class Progress:
    """Shows the runs; `busy_only`: on a terminal those that go on, and of the others a count."""

    def __init__(self, runs: Sequence[Run], *, busy_only: bool = False) -> None:
        self._runs = runs
        self._busy_only = busy_only
        self._console = bench_report.console(stderr=True)
        self._live: Live | None = None
        if sys.stderr.isatty():
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._counted = {run.folder: (0, (0, 0, 0)) for run in runs}
        self._said = {run.folder: ("", 0.0) for run in runs}
        self._drawn = 0.0

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self) -> None:
        """The state now."""
        now = time.monotonic()
        if self._live is None:
            for run in self._runs:
                self._line(run, now)
        elif now - self._drawn >= _REDRAW_S:
            self._drawn = now
            self._live.update(self._table(), refresh=True)

    def _line(self, run: Run, now: float) -> None:
        """A line at each new stage, and a sign of life while tests run."""
        stage, text = self._state(run)
        before, when = self._said[run.folder]
        if stage == before and not (stage == "testing" and now - when >= LINES_EVERY_S):
            return
        self._said[run.folder] = (stage, now)
        if stage not in (Stage.WAITING.value, Stage.READY.value):
            seconds = f", {run.age_s:.0f} s" if run.age_s >= 1 else ""
            self._console.print(f"{run.name}: {text}{seconds}", soft_wrap=True)

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

    def _shown(self) -> Sequence[Run]:
        if not self._busy_only:
            return self._runs
        return [run for run in self._runs if run.stage in (Stage.PREPARING, Stage.RUNNING)]

    def _state(self, run: Run) -> tuple[str, str]:
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

    def _count(self, run: Run) -> tuple[int, int, int]:
        """Tests planned, done, and done with a failure; read again only when there is more."""
        path = run.folder / finish.JOURNAL
        size, counts = self._counted[run.folder]
        try:
            if path.stat().st_size != size:
                size = path.stat().st_size
                read = journals.read(path)
                bad = sum(result.outcome.against_kernel for result in read.results)
                counts = (len(read.planned), len(read.results), bad)
        except (OSError, journals.JournalError):
            return (0, 0, 0)
        self._counted[run.folder] = (size, counts)
        return counts
