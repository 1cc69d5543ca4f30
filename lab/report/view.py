# SPDX-License-Identifier: GPL-2.0-only
"""Results as the page tells them: runs, claims by runs, what is wrong by claims, what changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness.claims import Chapter, Claim
from harness.reporting.verdict import ClaimState
from harness.reporting.verdict_text import host_line
from lab.report.evidence import Evidence
from lab.results.found import NOT_APPLICABLE, FoundClaim, FoundSuite, FoundTest, Status

#: What a word is coloured like; each stands as a word, too.
_TONES = {
    ClaimState.HELD.value: "good",
    ClaimState.PARTLY.value: "good",
    ClaimState.FAILED.value: "bad",
    ClaimState.BROKEN.value: "unsure",
    ClaimState.NOT_RUN.value: "unsure",
    "none": "unsure",
    "incomplete": "unsure",
}
#: Of what has no verdict.
_STATES = {
    Status.PASSED: ClaimState.HELD,
    Status.SKIPPED: ClaimState.NOT_TESTED,
    Status.FAILED: ClaimState.FAILED,
    Status.ERROR: ClaimState.BROKEN,
    Status.MISSED: ClaimState.NOT_RUN,
}
#: In the order of the legend.
LEGEND: Mapping[str, str] = {
    ClaimState.HELD.value: "each test ran and passed",
    ClaimState.PARTLY.value: "the tests that could run passed",
    ClaimState.FAILED.value: "a test failed",
    ClaimState.BROKEN.value: "a test came to no verdict; this says nothing about the kernel",
    ClaimState.NOT_RUN.value: "the run ended before its turn",
    ClaimState.NOT_TESTED.value: "this host cannot show it",
    NOT_APPLICABLE: "the claim is about other kernels or architectures",
}
_MOST_CHANGES = 200
#: Verdicts in a summary, the worst first, and their words there.
_SUMMED = (ClaimState.FAILED.value, "none", "incomplete", ClaimState.HELD.value)
_OF_RUNS = {"none": "without a verdict"}
_NO_VERDICT = "This run came to no verdict."
_ONE_RUN = {
    ClaimState.FAILED.value: "This kernel breaks the contract.",
    ClaimState.HELD.value: "This kernel keeps the contract, as far as it could be tested.",
    "incomplete": "No verdict on all of it: this run is incomplete.",
}


def tone(word: str) -> str:
    """The class of a word in the stylesheet."""
    return _TONES.get(word, "none")


@dataclass(frozen=True)
class Run:
    """A run. `word` is the verdict's first, `sentence` the rest; `anchor` its place on the page."""

    anchor: str
    suite: FoundSuite
    evidence: Evidence
    name: str
    kernel: str
    word: str
    sentence: str

    @property
    def title(self) -> str:
        """Kernel, and its name where there are several."""
        return f"{self.kernel} ({self.name})" if self.name else self.kernel

    @property
    def date(self) -> str:
        """When it began, to the minute, UTC; empty where that is not known."""
        return self.suite.began[:16].replace("T", " ")

    @property
    def host(self) -> str:
        """The host in one line."""
        return host_line(self.suite.environment)

    @property
    def counts(self) -> str:
        """How many tests there are of each status."""
        counts = self.suite.counts()
        return ", ".join(f"{counts[each]:,} {each.value}" for each in Status if counts[each])


@dataclass(frozen=True)
class ClaimCell:
    """What a run says of a claim; `href` leads to more, empty where the run has nothing of it."""

    word: str
    href: str = ""
    run: str = ""

    @property
    def tone(self) -> str:
        """Its class."""
        return tone(self.word)


@dataclass(frozen=True)
class Row:
    """A claim in all runs. `known` is the catalogue's."""

    anchor: str
    claim: str
    known: Claim | None
    cells: tuple[ClaimCell, ...]


@dataclass(frozen=True)
class Group:
    """A chapter's rows."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class TroubleInRun:
    """Tests of one claim in one run that did not do what they must; `bugs` explain some."""

    run: Run
    tests: tuple[FoundTest, ...]
    bugs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trouble:
    """A claim that failed, or came to no verdict, in some runs. `claim` is the catalogue's."""

    anchor: str
    name: str
    claim: Claim | None
    runs: tuple[TroubleInRun, ...]


@dataclass(frozen=True)
class Turn:
    """A claim that is not as it was in the run before on the same kernel."""

    kernel: str
    before: Run
    after: Run
    row: Row
    was: ClaimCell
    now: ClaimCell


@dataclass(frozen=True)
class ReportPage:
    """All of it. `failures` speak against a kernel, `unjudged` against nobody."""

    runs: tuple[Run, ...]
    groups: tuple[Group, ...]
    failures: tuple[Trouble, ...]
    unjudged: tuple[Trouble, ...]
    changes: tuple[Turn, ...] = ()
    more_changes: int = 0
    has_history: bool = False
    legend: Mapping[str, str] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """All verdicts in one sentence, the worst first; of mutants, which have none, counts."""
        if not all(run.suite.verdict for run in self.runs):
            return "; ".join(f"{run.title}: {run.counts}" for run in self.runs[:20])
        counts = Counter(run.word for run in self.runs)
        words = sorted(counts, key=lambda word: _SUMMED.index(word) if word in _SUMMED else -1)
        if len(self.runs) == 1:
            return _ONE_RUN.get(words[0], _NO_VERDICT)
        told = [f"{counts[word]:,} {_OF_RUNS.get(word, word)}" for word in words]
        return f"Of {len(self.runs):,} runs {', '.join(told)}."


def state(claim: FoundClaim) -> str:
    """The word of a claim in a run."""
    return claim.state or _STATES[claim.status].value


def page(
    suites: Sequence[FoundSuite],
    evidence: Sequence[Evidence],
    claims: Mapping[str, Claim],
    chapters: Mapping[str, Chapter],
) -> ReportPage:
    """The runs by kernel and date, and everything that they say."""
    several = len(suites) > 1
    pairs = sorted(
        zip(suites, evidence, strict=True),
        key=lambda pair: (_natural(_kernel(pair[0])), pair[0].began, pair[0].name),
    )
    runs = tuple(
        _run(f"run-{number}", suite, of_run, several)
        for number, (suite, of_run) in enumerate(pairs, start=1)
    )
    anchors = _anchors(runs, claims)
    failures = _troubles(runs, claims, anchors, "failure", Status.FAILED)
    unjudged = _troubles(runs, claims, anchors, "unjudged", Status.ERROR, Status.MISSED)
    told = {each.anchor for each in (*failures, *unjudged)}
    groups = _groups(runs, claims, chapters, anchors, told)
    rows = [row for group in groups for row in group.rows]
    changes = list(_changes(runs, rows))
    words = {cell.word for row in rows for cell in row.cells}
    return ReportPage(
        runs,
        groups,
        failures,
        unjudged,
        tuple(changes[:_MOST_CHANGES]),
        len(changes[_MOST_CHANGES:]),
        len({run.kernel for run in runs}) < len(runs),
        {word: meaning for word, meaning in LEGEND.items() if word in words},
    )


def _kernel(suite: FoundSuite) -> str:
    return suite.environment.get("kernel", "") or suite.name


def _natural(text: str) -> tuple[tuple[int, str], ...]:
    """A key by which 6.2 stands before 6.12."""
    parts = "".join(each if each.isalnum() else " " for each in text).split()
    return tuple((int(each) if each.isdecimal() and len(each) < 20 else -1, each) for each in parts)


def _run(anchor: str, suite: FoundSuite, of_run: Evidence, several: bool) -> Run:
    word, dot, sentence = suite.verdict.partition(". ")
    if not dot:
        word, sentence = _STATES[suite.status].value, suite.verdict
    kernel = _kernel(suite)
    name = suite.name if several and suite.name != kernel else ""
    return Run(anchor, suite, of_run, name, kernel, word, sentence)


def _anchors(runs: Sequence[Run], claims: Mapping[str, Claim]) -> dict[str, str]:
    """A place for each claim; names that the catalogue has not are numbers there."""
    names = dict.fromkeys(claim.name for run in runs for claim in run.suite.claims)
    ordered = [*(name for name in claims if name in names), *(n for n in names if n not in claims)]
    return {
        name: name if name in claims else f"other-{number}" for number, name in enumerate(ordered)
    }


def _troubles(
    runs: Sequence[Run],
    claims: Mapping[str, Claim],
    anchors: Mapping[str, str],
    kind: str,
    *statuses: Status,
) -> tuple[Trouble, ...]:
    found: dict[str, list[TroubleInRun]] = {}
    for run in runs:
        for claim in run.suite.claims:
            tests = tuple(test for test in claim.tests if test.status in statuses)
            if tests:
                known = dict.fromkeys(test.issue.explain() for test in tests if test.issue)
                found.setdefault(claim.name, []).append(TroubleInRun(run, tests, tuple(known)))
    return tuple(
        Trouble(f"{kind}-{anchor}", name, claims.get(name), tuple(found[name]))
        for name, anchor in anchors.items()
        if name in found
    )


def _groups(
    runs: Sequence[Run],
    claims: Mapping[str, Claim],
    chapters: Mapping[str, Chapter],
    anchors: Mapping[str, str],
    told: set[str],
) -> tuple[Group, ...]:
    rows: dict[str, list[Row]] = {}
    by_run = [{claim.name: claim for claim in run.suite.claims} for run in runs]
    for name, anchor in anchors.items():
        cells = tuple(
            _cell(run, of_run.get(name), anchor, told)
            for run, of_run in zip(runs, by_run, strict=True)
        )
        known = claims.get(name)
        title = chapters[known.chapter].title if known else "Other"
        row = Row(f"claim-{anchor}", name, known, cells)
        rows.setdefault(title, []).append(row)
    return tuple(Group(title, tuple(found)) for title, found in rows.items())


def _cell(run: Run, claim: FoundClaim | None, anchor: str, told: set[str]) -> ClaimCell:
    if claim is None:
        return ClaimCell("", run=run.anchor)
    places = (f"failure-{anchor}", f"unjudged-{anchor}")
    bad = claim.status.bad
    place = next((each for each in places if bad and each in told), f"{run.anchor}-{anchor}")
    return ClaimCell(state(claim), f"#{place}", run.anchor)


def _changes(runs: Sequence[Run], rows: Sequence[Row]) -> Iterator[Turn]:
    """Newest first within a kernel."""
    neighbours = [
        number for number in range(1, len(runs)) if runs[number].kernel == runs[number - 1].kernel
    ]
    for number in reversed(neighbours):
        before, after = runs[number - 1], runs[number]
        for row in rows:
            was, now = row.cells[number - 1], row.cells[number]
            if was.word != now.word:
                yield Turn(after.kernel, before, after, row, was, now)
