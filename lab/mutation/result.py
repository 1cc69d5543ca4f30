# SPDX-License-Identifier: GPL-2.0-only
"""What a mutation found: an outcome for each mutant and kernel, one sentence and one exit code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.claims.known_issues import KnownIssue
from harness.reporting import journal as journals
from lab.campaign import state
from lab.launch.exit_codes import Exit
from lab.mutation import proving
from lab.mutation.catalogue import Mutant
from lab.mutation.judge import Fate, Judged
from lab.mutation.proving import Proof
from lab.mutation.runs import MutantTask
from lab.mutation.source import Source

#: What a mutant met, by what is worse to have met: unknown is better than survived.
_BEST_FIRST = (
    *(Fate.LEFT_OUT, Fate.EQUIVALENT, Fate.HELD, Fate.KILLED, Fate.OTHERWISE),
    *(Fate.UNUSABLE, Fate.STAYS, Fate.CUT, Fate.UNJUDGED, Fate.LOST, Fate.NOT_LOADED),
    *(Fate.NOT_BUILT, Fate.NOT_APPLIED, Fate.FALSE_ALARM, Fate.SURVIVED),
)


@dataclass(frozen=True)
class Cell:
    """A mutant (None: the stock kernel) on one kernel."""

    name: str
    mutant: Mutant | None
    judged: Judged
    seconds: float
    folder: Path
    proof: Proof | None = None


@dataclass(frozen=True)
class KillColumn:
    """One kernel: its stock KVMs and its mutants, in the catalogue's order, and its own bugs."""

    source: Source
    stock: tuple[Cell, ...]
    mutants: tuple[Cell, ...]
    bugs: tuple[KnownIssue, ...] = ()

    @property
    def proofs(self) -> dict[str, Proof]:
        """Of the killed mutants of which a reproducer was asked for."""
        version = self.source.version
        return {f"{each.name} {version}": each.proof for each in self.mutants if each.proof}

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All of them."""
        return self.stock + self.mutants


@dataclass(frozen=True)
class KillMatrix:
    """All kernels."""

    columns: tuple[KillColumn, ...]

    @property
    def code(self) -> Exit:
        """1 goes before 70: what is known to be wrong is not hidden by what is not known."""
        outcomes = {cell.judged.outcome for column in self.columns for cell in column.cells}
        if outcomes == {Fate.LEFT_OUT}:
            return Exit.NOTHING_TESTED
        codes = {outcome.code for outcome in outcomes}
        if not all(each.proves for each in self.proofs().values()):
            codes.add(Exit.FAILED)
        return next(code for code in (Exit.FAILED, Exit.SUITE_ERROR, Exit.HELD) if code in codes)

    def proofs(self) -> dict[str, Proof]:
        """Of all kernels."""
        return {name: each for column in self.columns for name, each in column.proofs.items()}

    def sentence(self) -> str:
        """The summary in one line. A mutant counts once, by the worst that it met on a kernel."""
        count = Counter(self._worst().values())
        equivalent = count.pop(Fate.EQUIVALENT, 0)
        left_out = count.pop(Fate.LEFT_OUT, 0)
        killed = sum(number for outcome, number in count.items() if outcome.is_killed)
        foretold = f"{count[Fate.KILLED]} by the claims foretold"
        parts = [f"{killed} of {count.total()} mutants killed, {foretold}"]
        parts += [f"{equivalent} equivalent"] if equivalent else []
        parts += [f"{left_out} left out"] if left_out else []
        parts += [
            f"{count[each]} {_plural(each.value, count[each])}"
            for each in Fate
            if count[each] and not each.is_killed and each.code is not Exit.HELD
        ]
        told = proving.sentence(self.proofs())
        return "; ".join(each for each in (", ".join(parts), self._stock(), told) if each)

    def _worst(self) -> dict[str, Fate]:
        """The worst outcome of each mutant, left out if it was asked nowhere; but of baselines."""
        order = list(_BEST_FIRST)
        worst: dict[str, Fate] = {}
        for cell in (cell for column in self.columns for cell in column.mutants):
            outcome = cell.judged.outcome
            if cell.mutant and cell.mutant.is_innocent:
                continue
            known = worst.get(cell.name, outcome)
            worst[cell.name] = max(known, outcome, key=order.index)
        return worst

    def _stock(self) -> str:
        innocent = [
            (each.source.version, cell)
            for each in self.columns
            for cell in each.cells
            if cell.mutant is None or cell.mutant.is_innocent
            if cell.judged.outcome is not Fate.LEFT_OUT
        ]
        if not innocent:
            return "stock: not run"

        def named(wanted: Callable[[Fate], bool]) -> str:
            return ", ".join(
                dict.fromkeys(
                    f"{cell.name} {version}" if cell.mutant else version
                    for version, cell in innocent
                    if wanted(cell.judged.outcome)
                )
            )

        if guilty := named(lambda outcome: outcome is Fate.FALSE_ALARM):
            return f"stock: a FALSE ALARM ({guilty})"
        if unknown := named(lambda outcome: outcome is not Fate.HELD):
            return f"stock: not judged ({unknown})"
        versions = dict.fromkeys(version for version, _ in innocent)
        return f"stock: no false alarm ({', '.join(versions)})"


def _plural(word: str, number: int) -> str:
    return word.replace("does not", "do not") if number > 1 else word


def of_runs(runs: Mapping[Source, Sequence[MutantTask]]) -> KillMatrix:
    """Reads what the runs left."""
    columns = []
    for source, each in runs.items():
        cells = [_cell_of(run) for run in each]
        stock = tuple(cell for cell in cells if cell.mutant is None)
        mutants = tuple(cell for cell in cells if cell.mutant is not None)
        columns.append(KillColumn(source, stock, mutants, source.bugs))
    return KillMatrix(tuple(columns))


def _cell_of(run: MutantTask) -> Cell:
    judged = run.judged()
    asked_for = run.reproduce and judged.outcome.is_killed
    proof = proving.read(run.folder) if asked_for else None
    return Cell(run.folder.name, run.mutant, judged, run.seconds, run.folder, proof)


def as_json(found: KillMatrix, code: int) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "version": 1,
        "time": journals.now(),
        "suites": state.suites_version(),
        "exit": code,
        "sentence": found.sentence(),
        "kernels": [
            {
                "release": column.source.release,
                "name": column.source.name,
                "label": column.source.label,
                "left_out": [test for bug in column.bugs for test in bug.tests],
                "results": [_cell(each) for each in column.cells],
            }
            for column in found.columns
        ],
    }


def _cell(each: Cell) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    if mutant := each.mutant:
        entry = {
            "class": mutant.mutant_class,
            "chapter": mutant.chapter,
            "tier": mutant.tier,
            "defect": mutant.defect,
            "foretold": list(mutant.claims),
            "equivalent": mutant.equivalent,
            "allowed_by": mutant.allowed_by,
        }
    return {
        "id": each.name,
        **entry,
        "outcome": each.judged.outcome.value,
        "why": each.judged.why,
        "seconds": round(each.seconds, 1),
        "claims": dict(each.judged.claims),
    }
