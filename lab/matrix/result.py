# SPDX-License-Identifier: GPL-2.0-only
"""What a matrix found: a column a kernel, a word a claim, one verdict and one exit code."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.claims import MACHINES, Chapter, Claim
from harness.host import parameters
from harness.reporting import journal as journals
from harness.reporting import verdict
from harness.reporting.journal import Journal
from harness.reporting.results import TestOutcome
from harness.reporting.verdict import ClaimState, Finding
from lab.campaign.side_by_side import Stage
from lab.launch import finish
from lab.launch.exit_codes import Exit
from lab.matrix.kernel_list import ListedKernel
from lab.matrix.runs import KernelTask

#: The table's words for claims and for whole kernels, and what they mean.
LEGEND: Mapping[str, str] = {
    "held": "each test ran and passed",
    "part": "the tests that could run passed",
    "-": "could not be tested here",
    "n/a": "the claim is about other kernels or architectures",
    "FAIL": "a test failed, or the kernel panicked",
    "lost": "the machine was lost before the claim's turn or in the middle of it",
    "error": "no verdict: the suite itself broke",
    "cut": "the run was interrupted before",
    "absent": "the kernel cannot be had",
    "unset": "a parameter that the list asks for is not in force there: nothing is said of it",
}
_WORDS = {
    ClaimState.HELD: "held",
    ClaimState.PARTLY: "part",
    ClaimState.NOT_TESTED: "-",
    ClaimState.FAILED: "FAIL",
    ClaimState.BROKEN: "error",
}
_VERDICTS = {
    Exit.HELD: "held",
    Exit.FAILED: "FAIL",
    Exit.LOST_VM: "lost",
    Exit.NOTHING_TESTED: "-",
}
#: The worst first. Every other code of a run says that the suite itself broke.
_WORST = (
    Exit.FAILED,
    Exit.LOST_VM,
    Exit.CANNOT_WRITE,
    Exit.SUITE_ERROR,
    Exit.NOTHING_TESTED,
    Exit.HELD,
)


@dataclass(frozen=True)
class Column:
    """A kernel, its run in `folder`.

    `code` is None where its run did not come to its end, or does not count: a parameter is `unset`.
    """

    folder: Path
    head: str
    entry: ListedKernel
    stage: Stage
    release: str
    title: str
    code: Exit | None
    why: str
    seconds: float
    started: str
    journal: Journal
    words: Mapping[str, str]
    unset: bool = False

    @property
    def cut_short(self) -> bool:
        """Whether it was tested, and tests may lack in its journal."""
        ran = self.stage is not Stage.ABSENT and not self.unset
        return ran and self.journal.exit_status is None

    @property
    def verdict(self) -> str:
        """The kernel's word."""
        if self.stage is Stage.ABSENT:
            return "absent"
        if self.unset:
            return "unset"
        return "cut" if self.code is None else _VERDICTS.get(self.code, "error")

    def word(self, claim: str) -> str:
        """The claim's word; empty where the kernel was not to show it."""
        if claim in self.words:
            return self.words[claim]
        return _missing(self.code) if self.cut_short else ""

    @property
    def failures(self) -> list[tuple[str, str]]:
        """Tests that failed or broke, with their messages; the former first."""
        bad = [each for each in self.journal.results if each.outcome.against_kernel]
        bad += [each for each in self.journal.results if each.outcome is TestOutcome.ERROR]
        found = [(each.id, each.message or each.outcome.value) for each in bad]
        return [
            *found,
            *((where, "broke outside of the tests") for where, _ in self.journal.collection_errors),
        ]

    def describe(self) -> str:
        """What stands behind the column's head."""
        machine = [self.entry.arch] if self.entry.arch else []
        if self.entry.cpus != ListedKernel.cpus:
            machine.append(f"{self.entry.cpus} CPUs")
        if self.entry.memory != ListedKernel.memory:
            machine.append(self.entry.memory)
        machine += filter(None, (self.entry.kernel_parameters, self.entry.qemu_options))
        text = ", ".join(filter(None, (self.entry.kernel, self.release, *machine)))
        kept = " (kept from an earlier run)" if self.stage is Stage.KEPT else ""
        absent = "not available: " if self.stage is Stage.ABSENT else ""
        return f"{text}{kept}: {absent}{self.why}" if self.why else f"{text}{kept}"


@dataclass(frozen=True)
class Matrix:
    """All kernels of a list, with the claims in the catalogue's order."""

    columns: tuple[Column, ...]
    claims: tuple[str, ...]
    chapters: Mapping[str, str]

    def chapter(self, claim: str) -> str:
        """The title of a claim's chapter."""
        return self.chapters.get(claim, "Of no known claim")

    @property
    def code(self) -> Exit:
        """The exit code of the worst kernel. What was interrupted is the caller's to tell."""
        codes = {column.code for column in self.columns if column.code is not None}
        if codes - set(_WORST):
            codes.add(Exit.SUITE_ERROR)
        return next((code for code in _WORST if code in codes), Exit.NOTHING_TESTED)

    def sentence(self) -> tuple[str, bool]:
        """The verdict in a sentence, and whether it is a good one."""
        count = Counter(column.verdict for column in self.columns)
        total = len(self.columns)
        said = {
            "FAIL": "failed",
            "lost": "lost their machine" if count["lost"] > 1 else "lost its machine",
            "error": "came to no verdict",
            "absent": "could not be had",
            "unset": "have not a parameter" if count["unset"] > 1 else "has not a parameter",
            "-": "could show no claim",
            "cut": "did not come to their end" if count["cut"] > 1 else "did not come to its end",
        }
        kernels = f"{total} kernels" if total > 1 else "1 kernel"
        if count["held"] == total:
            text = f"All {kernels} hold" if total > 1 else "The one kernel holds"
            return f"MATRIX held. {text} every claim that could be tested.", True
        if count["held"] and count["held"] + count["unset"] == total:
            text = f"{count['held']} of {kernels} hold every claim that could be tested"
            return f"MATRIX held. {text}; {count['unset']} {said['unset']}.", True
        parts = [f"{count[word]} {text}" for word, text in said.items() if count[word]]
        if count["held"]:
            parts.append(f"{count['held']} held")
        first = "FAILED" if count["FAIL"] else "incomplete"
        return f"MATRIX {first}. Of {kernels} {', '.join(parts)}.", False


def of_runs(
    runs: Sequence[KernelTask],
    claims: Mapping[str, Claim],
    chapters: Mapping[str, Chapter],
    machine: str,
) -> Matrix:
    """Reads what the runs left. Claims that none of its architectures can show are left out.

    `machine` is the architecture of a run that does not tell its own.
    """
    heads = _heads(runs)
    columns = tuple(_column(run, head, claims) for run, head in zip(runs, heads, strict=True))
    named = {name for column in columns for name in column.words}
    told = {column.journal.environment.get("architecture", "") for column in columns}
    machines = {MACHINES.get(each, each) or machine for each in told}
    known = [
        name
        for name, claim in claims.items()
        if name in named and any(map(claim.applies_to, machines))
    ]
    return Matrix(
        columns,
        (*known, *sorted(named - set(claims))),
        {name: chapters[claim.chapter].title for name, claim in claims.items()},
    )


def _column(run: KernelTask, head: str, claims: Mapping[str, Claim]) -> Column:
    journal, why = Journal(), run.why
    if run.stage in (Stage.ENDED, Stage.KEPT) or (run.stage is Stage.STOPPED and run.started):
        try:
            journal = journals.read(run.folder / finish.JOURNAL)
        except FileNotFoundError:
            pass  # it ended before its first test
        except (OSError, journals.JournalError) as error:
            why = f"{why}; {error}" if why else str(error)
    code = _code(run, journal)
    unset = not_in_force(run.entry.kernel_parameters, journal)
    if unset:
        journal, code, why = Journal(), None, unset
    if code is Exit.NOTHING_TESTED and not why:
        skips = Counter((each.reason, each.message) for each in journal.results)
        why = ": ".join(skips.most_common(1)[0][0]) if skips else "no test belongs to the choice"
    findings = verdict.judge(journal.results, planned=journal.planned, claims=claims)
    return Column(
        folder=run.folder,
        head=head,
        entry=run.entry,
        stage=run.stage,
        release=run.release,
        title=run.title,
        code=code,
        why=why,
        seconds=run.seconds,
        started=run.started,
        journal=journal,
        words={finding.claim: _word(finding, code) for finding in findings.claims},
        unset=bool(unset),
    )


def not_in_force(words: str, journal: Journal) -> str:
    """Which of the kernel's parameters were not in force, in a clause; empty where all were.

    The results are then those of other parameters: nothing of them counts.
    """
    if not journal.has_session:
        return ""
    told = journal.environment.get("parameters", "")
    try:
        return "; ".join(parameters.unmet(shlex.split(words), told))
    except ValueError as error:
        return f"{error} in its kernel_parameters"


def _word(finding: Finding, code: Exit | None) -> str:
    # What held until the machine was lost did not hold in part: tests lack. And a test that ran
    # when it was lost is an error of which the suite is innocent.
    if finding.not_run and finding.state in (
        ClaimState.PARTLY,
        ClaimState.NOT_RUN,
        ClaimState.NOT_TESTED,
    ):
        return _missing(code)
    if finding.state is ClaimState.BROKEN and code is Exit.LOST_VM:
        return "lost"
    if not finding.applies:
        return "n/a"
    return _WORDS[finding.state]


def _missing(code: Exit | None) -> str:
    """The word for a claim whose tests had no turn. FAILED without an end is a panic."""
    if code is None:
        return "cut"
    return "lost" if code in (Exit.LOST_VM, Exit.FAILED) else "error"


def _code(run: KernelTask, journal: Journal) -> Exit | None:
    if run.stage is Stage.STOPPED or run.code is None:
        return None
    try:
        code = Exit(run.code)
    except ValueError:
        return Exit.SUITE_ERROR
    if code is Exit.HELD and (journal.exit_status is None or journal.not_run):
        return Exit.SUITE_ERROR  # it says that all held, and its journal does not
    return code if code in _WORST else Exit.SUITE_ERROR


def _heads(runs: Iterable[KernelTask]) -> list[str]:
    """Short heads, each once: names, what releases say, else the end of what was asked for."""
    heads: list[str] = []
    for run in runs:
        said = short(run.release) or run.entry.kernel.rpartition(":")[2][-12:]
        head = run.entry.name or " ".join(filter(None, (said, run.entry.arch)))
        number, first = 1, head
        while head in heads:
            number += 1
            head = f"{first}/{number}"
        heads.append(head)
    return heads


def short(release: str) -> str:
    """6.1.0-56-rt-amd64 is 6.1-rt."""
    version = re.match(r"\d+\.\d+", release)
    flavour = re.search(r"-(rt|cloud)(?:-|$)", release)
    return (version[0] if version else "") + (f"-{flavour[1]}" if version and flavour else "")


def as_json(matrix: Matrix, suites: str, options: Sequence[str], code: int) -> dict[str, Any]:
    """Everything, for programs."""
    return {
        "version": 1,
        "time": journals.now(),
        "suites": suites,
        "options": list(options),
        "exit": code,
        "kernels": [
            {
                "head": each.head,
                "label": each.entry.label,
                "kernel": each.entry.kernel,
                "arch": each.entry.arch,
                "release": each.release,
                "name": each.title,
                "stage": each.stage.value,
                "exit": each.code,
                "verdict": each.verdict,
                "why": each.why,
                "started": each.started,
                "seconds": round(each.seconds, 1),
                "environment": each.journal.environment,
                "claims": {name: each.word(name) for name in matrix.claims},
                "tests": Counter(result.outcome.value for result in each.journal.results),
            }
            for each in matrix.columns
        ],
    }
