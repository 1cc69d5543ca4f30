# SPDX-License-Identifier: GPL-2.0-only
"""What the batches of a benchmark say, for a table, for a sentence and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lab.benchmark.cases import Case
from lab.benchmark.measurement import UNDISTURBED, Batch, BenchSettings
from lab.benchmark.statistics import (
    Estimate,
    Spread,
    difference,
    ratio,
    summarize,
)

SCHEMA = 1


@dataclass(frozen=True)
class Comparison:
    """One case with some threads against another one, paired by round; difference in ns."""

    above: tuple[str, int]
    below: tuple[str, int]
    ratio: Estimate
    difference: Estimate


class BenchResults:
    """All batches so far. `complete` once every round was measured."""

    def __init__(self, settings: BenchSettings, cases: Sequence[Case]) -> None:
        self.settings = settings
        self.cases = tuple(cases)
        self.batches: list[Batch] = []
        self.complete = False

    def take(self, batch: Batch) -> None:
        """One more batch."""
        self.batches.append(batch)

    @property
    def expected(self) -> int:
        """How many batches a complete benchmark has."""
        return self.settings.rounds * len(self.settings.threads) * len(self.cases)

    @property
    def invalid(self) -> list[Batch]:
        """The batches that do not count."""
        return [batch for batch in self.batches if not batch.valid]

    @property
    def disturbed(self) -> int:
        """Batches whose threads did not have a processor nearly all the time."""
        return sum(batch.valid and batch.cpu_share < UNDISTURBED for batch in self.batches)

    @property
    def pinned(self) -> bool:
        """Whether every thread could be kept on one processor."""
        return all(one.pinned for batch in self.batches for one in batch.times)

    def times(self, case: str, threads: int) -> dict[int, float]:
        """Round -> ns a call, of the batches that count."""
        return {
            batch.round: batch.ns_per_call
            for batch in self.batches
            if batch.valid and (batch.case, batch.threads) == (case, threads)
        }

    def summary(self, case: str, threads: int) -> Spread | None:
        """ns a call; None while no batch counts."""
        values = list(self.times(case, threads).values())
        return summarize(values) if values else None

    def without_result(self) -> list[tuple[str, int]]:
        """Cases and numbers of threads of which no batch counts."""
        return [
            (case.name, threads)
            for threads in self.settings.threads
            for case in self.cases
            if not self.times(case.name, threads)
        ]

    def compare(self, above: tuple[str, int], below: tuple[str, int]) -> Comparison | None:
        """None when no round has both."""
        upper, lower = self.times(*above), self.times(*below)
        found, distance = ratio(upper, lower), difference(upper, lower)
        if found is None or distance is None:
            return None
        return Comparison(above, below, found, distance)

    def mask_comparisons(self) -> list[Comparison]:
        """Each masked case against the same without the mask, by threads."""
        names = [case.name for case in self.cases]
        pairs = [(name, name.removesuffix("+mask")) for name in names if name.endswith("+mask")]
        return self._compared(
            ((masked, threads), (plain, threads))
            for masked, plain in pairs
            for threads in self.settings.threads
        )

    def other_comparisons(self) -> list[Comparison]:
        """Each case against the floor of KVM_RUN, and many threads against the fewest."""
        names = [case.name for case in self.cases]
        few, *more = self.settings.threads
        floors = [name for name in names if name not in ("einval", "getppid")]
        return self._compared(
            [((name, few), ("einval", few)) for name in floors if not name.endswith("+mask")]
            + [(("einval", few), ("getppid", few))]
            + [((name, many), (name, few)) for many in more[-1:] for name in names]
        )

    def _compared(
        self, pairs: Iterable[tuple[tuple[str, int], tuple[str, int]]]
    ) -> list[Comparison]:
        found = (self.compare(above, below) for above, below in pairs)
        return [one for one in found if one is not None]

    def document(self, host: dict[str, str]) -> dict[str, Any]:
        """Everything, raw batches too, for JSON."""
        return {
            "schema": SCHEMA,
            "complete": self.complete,
            "host": host,
            "settings": asdict(self.settings),
            "cases": [asdict(case) for case in self.cases],
            "summaries": [
                {"case": case.name, "threads": threads, **asdict(summary)}
                for threads in self.settings.threads
                for case in self.cases
                if (summary := self.summary(case.name, threads)) is not None
            ],
            "comparisons": [
                asdict(one) for one in (*self.mask_comparisons(), *self.other_comparisons())
            ],
            "batches": [
                {
                    **asdict(batch),
                    "ns_per_call": batch.ns_per_call,
                    "cpu_share": batch.cpu_share,
                }
                for batch in self.batches
            ],
        }


def mask_sentences(results: BenchResults) -> list[str]:
    """What the numbers say about the signal lock; they report, and do not judge."""
    found = []
    compared = results.mask_comparisons()
    for case in results.cases:
        of_case = [one for one in compared if one.below[0] == case.name]
        if of_case:
            prices = "; ".join(f"{_threads(one.above[1])}: {_price(one)}" for one in of_case)
            found.append(f"What the mask adds to a {case.meaning} - {prices}.{_growth(of_case)}")
    return found


def _threads(number: int) -> str:
    return "1 thread" if number == 1 else f"{number} threads"


def _price(one: Comparison) -> str:
    distance = one.difference
    if distance.low is None or distance.high is None:
        return f"{distance.median:+.0f} ns, from too few rounds to say how sure that is"
    span = f"{distance.low:+.0f} to {distance.high:+.0f}"
    if distance.low <= 0 <= distance.high:
        return f"nothing that this run can tell from its noise ({span} ns)"
    percent = (one.ratio.median - 1) * 100
    return f"{distance.median:+.0f} ns ({span}), {percent:+.1f} %"


def _growth(of_case: Sequence[Comparison]) -> str:
    if len(of_case) < 2:
        return ""
    few, many = of_case[0].difference, of_case[-1].difference
    if few.low is None or few.high is None or many.low is None or many.high is None:
        return ""
    if many.low > few.high:
        return " It grows with the threads, as the price of one lock for all of them does."
    if many.high < few.low:
        return " It falls as threads are added."
    return " With these numbers of threads no growth shows."
