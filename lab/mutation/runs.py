# SPDX-License-Identifier: GPL-2.0-only
"""The runs of a mutation: for each kernel the stock KVM, then one mutant after the other."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.campaign import side_by_side
from lab.campaign.attempt import Attempt
from lab.campaign.side_by_side import Stage
from lab.emulation import conformance
from lab.emulation.machine import Limits
from lab.launch.exit_codes import Exit
from lab.launch.request import Request
from lab.mutation.asked import Asked
from lab.mutation.catalogue import EXPLORED, Mutant
from lab.mutation.judge import SWEEP, Fate, Judged, Left, is_final, judge
from lab.mutation.keep import MEMORY_MB, PARAMETERS
from lab.mutation.lanes import Lanes
from lab.mutation.make import STOCK
from lab.mutation.source import Source

SOURCE = "source.json"
SWEPT_STOCK = "stock.sweep"
_ATTEMPTS = 2
# For each test, of what random sequences are to see: as many as on a real host.
_SEQUENCES = 15
_LEAST_S = 30.0  # less is no chance


@dataclass(frozen=True)
class Campaign:
    """How each machine is asked; the times are seconds. `sweeps`: with the instruction sweep.

    `explores`: judged by random sequences alone, for the time of the budget.
    Of the mutants whose ids match one of `reproduce` a C program is asked for.
    """

    mutants: Path
    kicks: str
    budget_s: float
    limit_s: float
    boot_limit_s: float
    sweeps: bool
    reproduce: tuple[str, ...] = ()
    explores: bool = False


@dataclass
class MutantTask(side_by_side.Task):
    """A mutant on a kernel, or (`mutant` is None) the stock KVM, built as the mutants are.

    `foretold` are the claims to be tested first, `ways` those of the sweep, if it `sweeps`;
    `left_out` are tests that find a bug of the kernel's own.
    """

    source: Source | None = None
    plan: Campaign | None = None
    mutant: Mutant | None = None
    sweeps: bool = False
    foretold: Sequence[str] = ()
    ways: Sequence[str] = ()
    left_out: Sequence[str] = ()
    reproduce: bool = False
    stock: MutantTask | None = field(default=None, repr=False)
    lanes: Lanes | None = field(default=None, repr=False)
    verdict: Judged | None = None
    spent_s: float = 0.0
    fresh_attempts: int = 0
    _in_lane: Asked | None = field(default=None, repr=False)
    _known: tuple[tuple[object, ...], Judged] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """Mutant and kernel's version."""
        assert self.source
        return f"{self.folder.name} {self.source.version}"

    @property
    def preparing(self) -> Sequence[str]:
        """`make ...` of lab/mutation/make.py."""
        assert self.plan
        mutant_id = self.mutant.id if self.mutant else STOCK
        return "make", str(self.folder.parent / SOURCE), str(self.plan.mutants), mutant_id

    @property
    def starting(self) -> str:
        """A machine that judged others before boots no more."""
        return "loading its KVM" if self.shared else super().starting

    @property
    def testing(self) -> Sequence[str]:
        """`sweep ...`."""
        assert self.source
        return [
            *("sweep", f"--kernel={self.source.boot}", f"--kvm-modules={self.found['modules']}"),
            *(f"--output={self.folder}", f"--memory={MEMORY_MB}M"),
            *(f"--way={way}" for way in self.ways),
        ]

    @property
    def _words(self) -> list[str]:
        """For pytest. All tests have their turn where none may fail."""
        assert self.plan
        assert self.source
        if self.plan.explores:
            first = [] if self.innocent else ["--exitfirst"]
            return [
                f"--claim={EXPLORED}",
                f"--sequences={max(1, round(self.plan.budget_s))}s",
                *first,
            ]
        return [
            *([f"--stop-after={self.plan.budget_s:g}"] if _has_budget(self.mutant) else []),
            *(f"--first={name}" for name in self.foretold),
            *(f"--sooner={name}" for name in (self.mutant.shown_by if self.mutant else ())),
            *([f"--sequences={_SEQUENCES}"] if EXPLORED in self.foretold else []),
            *([f"--without-bugs-of={self.source.version}"] if self.left_out else []),
        ]

    def begin(self) -> Attempt:
        """A process of its own for a sweep; the tests share their machines."""
        assert self.plan
        assert self.lanes
        if self.sweeps:
            self.fresh_attempts += 1
            self.lanes.make_room()
            (self.folder / SWEEP).unlink(missing_ok=True)  # of an earlier run
            self.limit_s = self._left_s
            return super().begin()
        request = Request(
            budget=self.plan.kicks,
            variants=conformance.VARIANTS,
            pytest_arguments=tuple(self._words),
        )
        self._in_lane = self.lanes.ask(
            self.folder.parent / SOURCE,
            self.folder,
            self.found["modules"],
            request,
            boot_limit_s=self.plan.boot_limit_s,
            # What is to hold everything has the time that it takes.
            limit_s=Limits.total_s if self.innocent else self._left_s,
            fresh=self.mutant is None or self.attempts > 0,
            stock=self.stock.found.get("modules", "") if self.reproduce and self.stock else "",
        )
        self.fresh_attempts += not self.shared
        return self._in_lane

    @property
    def shared(self) -> bool:
        """Whether its machine judged others before."""
        return self._in_lane is not None and self._in_lane.had_predecessors

    @property
    def innocent(self) -> bool:
        """The stock kernel, a baseline or a sound variant: the whole suite runs on it."""
        return self.mutant is None or self.mutant.is_innocent

    def judged(self) -> Judged:
        """What became of it; for one that is over."""
        if self.verdict is not None:
            return self.verdict
        known = (self.stage, self.code, self.attempts, self._stock_ended())
        if self._known is None or self._known[0] != known:
            self._known = known, self._judge(known[-1])
        return self._known[1]

    def _judge(self, stock_ended: bool) -> Judged:
        if self.stage is Stage.ABSENT:
            words = {each.value: each for each in Fate}
            return Judged(words.get(self.found.get("outcome", ""), Fate.UNJUDGED), self.why)
        if self.stage not in (Stage.ENDED, Stage.KEPT):
            return Judged(Fate.CUT, self.why)
        left = Left(self.folder, self.code, self.why)
        return judge(self.mutant, left, sweeps=self.sweeps, stock_ended=stock_ended)

    def _stock_ended(self) -> bool:
        """Whether the stock kernel's run beside it came to its end.

        The stock kernel is the first of each kernel, so it has mostly ended by then.
        """
        stock = self.stock
        if stock is None or stock.stage not in (Stage.ENDED, Stage.KEPT):
            return False
        ended = stock.judged().outcome in (Fate.HELD, Fate.FALSE_ALARM)
        left = Left(stock.folder, stock.code, stock.why)
        return ended and not left.lost and not left.stays

    @property
    def ending(self) -> str:
        """Its word."""
        return self.judged().outcome.value

    @property
    def reason(self) -> str:
        """Why, unless it is as foretold."""
        judged = self.judged()
        return "" if judged.outcome is Fate.KILLED else judged.why

    def is_complete(self) -> bool:
        """Whether its verdict stands: the question was answered."""
        return self.judged().outcome.code in (Exit.HELD, Exit.FAILED)

    def wants_another(self) -> bool:
        """What is in doubt is asked once more, on a fresh machine.

        In a machine that judged others before, everything is in doubt that is not as it should be:
        they may be to blame. In a fresh one it is a loss without evidence, for emulation may
        freeze, or with evidence that a starved host may give as well; of what is to hold
        everything, each loss. All attempts of a mutant have the time of one: what wedges its host
        costs its time limit and no more.
        """
        assert self.plan
        left = Left(self.folder, self.code, self.why)
        if self.shared:
            odd = self._in_lane is not None and self._in_lane.odd
            again = odd or self.judged().outcome in (Fate.OTHERWISE, Fate.FALSE_ALARM)
        else:
            final = not self.innocent and is_final(left.evidence)
            again = self.fresh_attempts < _ATTEMPTS and left.lost and not final
        if not again:
            return False
        self.spent_s += 0 if self.innocent else self.seconds
        # In a machine of others it had half of the time, so there is some left.
        return self.shared or self.innocent or self._left_s >= _LEAST_S

    @property
    def _left_s(self) -> float:
        """Of the time limit; half of it, for a fresh machine, if ending the other took long."""
        assert self.plan
        least = self.plan.limit_s / 2 if self.fresh_attempts == 0 else 0.0
        return max(least, self.plan.limit_s - self.spent_s)


def of_kernel(
    source: Source, mutants: Sequence[Mutant], folder: Path, plan: Campaign
) -> list[MutantTask]:
    """The runs on one kernel, the stock ones first; `folder` is the kernel's own.

    What is not run has its verdict already.
    """
    asked_for = [each for each in mutants if each.applies_to(source.version)]
    run = [each for each in asked_for if not each.equivalent]
    swept = [each for each in run if each.tier == "sweep"]
    sweeps = plan.sweeps and not source.foreign
    left_out = [test for bug in source.bugs for test in bug.tests]
    runs: list[MutantTask] = []
    stock = _run(source, folder / "stock", plan, None, left_out)
    stock_sweep = None
    if any(each.tier != "sweep" for each in run):
        runs.append(stock)
    if swept and sweeps:
        ways = sorted({way for each in swept for way in each.ways})
        everything = any(not each.ways for each in swept)
        stock_sweep = _run(source, folder / SWEPT_STOCK, plan, None, left_out, sweeps=True)
        stock_sweep.ways = () if everything else ways
        stock_sweep.asked = {**stock_sweep.asked, "ways": list(stock_sweep.ways)}
        runs.append(stock_sweep)
    for mutant in mutants:
        made = _run(
            source, folder / mutant.id, plan, mutant, left_out, sweeps=mutant.tier == "sweep"
        )
        made.stock = stock_sweep if made.sweeps else stock
        if not mutant.applies_to(source.version):
            made.verdict = Judged(Fate.LEFT_OUT, _versions(mutant))
        elif mutant.equivalent:
            made.verdict = Judged(Fate.EQUIVALENT, mutant.equivalent)
        elif made.sweeps and not sweeps:
            why = f", and there is none of {source.arch}" if plan.sweeps else ""
            made.verdict = Judged(Fate.LEFT_OUT, f"it takes the sweep{why}")
        if made.verdict is not None:
            made.stage = Stage.ENDED
        runs.append(made)
    for each in runs:
        if each.mutant and not (each.innocent or each.sweeps) and _told(each.mutant, plan):
            each.reproduce = True
            each.asked = {**each.asked, "reproduce": True}
    return runs


def _told(mutant: Mutant, plan: Campaign) -> bool:
    return any(fnmatch.fnmatchcase(mutant.id, pattern) for pattern in plan.reproduce)


def _has_budget(mutant: Mutant | None) -> bool:
    """Not the stock kernel and baselines: the question is whether everything holds."""
    return mutant is not None and not mutant.is_innocent


def _versions(mutant: Mutant) -> str:
    parts = [f"from {mutant.since}"] * bool(mutant.since) + [f"to {mutant.until}"] * bool(
        mutant.until
    )
    return f"for kernels {' '.join(parts)}"


def _run(
    source: Source,
    folder: Path,
    plan: Campaign,
    mutant: Mutant | None,
    left_out: list[str],
    *,
    sweeps: bool = False,
) -> MutantTask:
    foretold = (*mutant.claims, *mutant.claims_held) if mutant else ()
    asked: dict[str, Any] = {
        "release": source.release,
        "mutant": None,
        "sweeps": sweeps,
        "kicks": plan.kicks,
        "budget_s": plan.budget_s if plan.explores or _has_budget(mutant) else None,
        "explores": plan.explores,
        "memory": MEMORY_MB,
        "parameters": list(PARAMETERS),
        "left_out": left_out,
    }
    if mutant:
        # As JSON reads it back; the folder may move, and what is written of a mutant may change.
        asked["mutant"] = {"id": mutant.id, "claims": list(foretold), "ways": list(mutant.ways)}
    made = MutantTask(folder, asked, source=source, plan=plan, mutant=mutant, sweeps=sweeps)
    made.foretold = foretold
    made.left_out = left_out
    made.ways = mutant.ways if mutant else ()
    return made
