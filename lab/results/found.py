# SPDX-License-Identifier: GPL-2.0-only
"""What runs found, in the form that all formats are rendered from: suites, claims, tests."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.claims import Claim, known_issues
from harness.claims.known_issues import KnownIssue
from harness.reporting import verdict, verdict_text
from harness.reporting.journal import Journal
from harness.reporting.results import Result, TestOutcome
from lab.results import names

#: What stands for the claim of what speaks about none.
OF_THE_RUN = "run"
#: The state of a claim that speaks about other kernels than this one.
NOT_APPLICABLE = "n/a"


class Status(enum.Enum):
    """What became of a test. ERROR: the suite or its host broke; MISSED: it had no turn, or no end.

    Both say nothing about the kernel.
    """

    PASSED = "passed"
    SKIPPED = "skipped"
    FAILED = "failed"
    ERROR = "error"
    MISSED = "missed"

    @property
    def bad(self) -> bool:
        """Whether a run with it is no success."""
        return self in (Status.FAILED, Status.ERROR, Status.MISSED)


_STATUS = {
    TestOutcome.PASSED: Status.PASSED,
    TestOutcome.SKIPPED: Status.SKIPPED,
    TestOutcome.FAILED: Status.FAILED,
    TestOutcome.CRASHED: Status.FAILED,
    TestOutcome.ERROR: Status.ERROR,
}
#: pytest's exit statuses without a complaint: 5, where no test ran.
_GOOD_ENDS = (0, 5)
#: The worst first; a claim is as its worst test is, and skipped only if all are.
_WORST = (Status.FAILED, Status.ERROR, Status.MISSED, Status.PASSED, Status.SKIPPED)


@dataclass(frozen=True)
class FoundTest:
    """A test. `reason` is the word of a skip (harness.host.features); `message` one line.

    `seconds` sums its phases; `began` and `ended` are when, UTC (RFC 3339), empty if it did not.
    `issue` is the known bug of the kernel by which it failed.
    """

    name: str
    status: Status
    reason: str = ""
    message: str = ""
    detail: str = ""
    seconds: float = 0.0
    began: str = ""
    ended: str = ""
    issue: KnownIssue | None = None

    @property
    def said(self) -> str:
        """Its message, behind the reason of a skip."""
        return f"{self.reason}: {self.message}" if self.reason else self.message


@dataclass(frozen=True)
class FoundClaim:
    """A claim with its tests; `sentence` is the catalogue's, empty for what is no claim.

    `state` is the verdict's word (`ClaimState`), `n/a` of a claim about other kernels; empty where
    no verdict is given.
    """

    name: str
    sentence: str
    tests: tuple[FoundTest, ...]
    state: str = ""

    @property
    def status(self) -> Status:
        """That of its worst test."""
        return _worst(test.status for test in self.tests)


@dataclass(frozen=True)
class FoundSuite:
    """One run on one kernel, of this `host`. `began` and `ended` are UTC (RFC 3339), or empty.

    `verdict` is the sentence that the terminal ends with, empty where none is given. `place` is the
    folder of a run that has one.
    """

    name: str
    claims: tuple[FoundClaim, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    began: str = ""
    ended: str = ""
    host: str = ""
    verdict: str = ""
    place: Path | None = None

    @property
    def status(self) -> Status:
        """That of its worst claim."""
        return _worst(claim.status for claim in self.claims)

    def tests(self) -> Iterator[FoundTest]:
        """All of them, claim by claim."""
        for claim in self.claims:
            yield from claim.tests

    def issues(self) -> list[KnownIssue]:
        """The known bugs by which tests failed, each once."""
        return list(dict.fromkeys(each.issue for each in self.tests() if each.issue))

    def counts(self) -> Counter[Status]:
        """How many tests there are of each status."""
        return Counter(test.status for test in self.tests())


def counted(tests: Iterable[FoundTest]) -> str:
    """How many of them did what, in words."""
    counts = Counter(test.status for test in tests)
    return ", ".join(f"{counts[each]} {each.value}" for each in Status if counts[each])


def _worst(statuses: Iterable[Status]) -> Status:
    there = set(statuses)
    return next((each for each in _WORST if each in there), Status.MISSED)


def named(suites: Sequence[FoundSuite]) -> list[tuple[str, FoundTest]]:
    """All tests with a name each; of several suites the suite's stands before it."""
    several = len(suites) > 1
    listed = [(suite.name, test) for suite in suites for test in suite.tests()]
    titles = names.apart(f"{suite}.{test.name}" if several else test.name for suite, test in listed)
    return [(title, test) for title, (_, test) in zip(titles, listed, strict=True)]


def of_journal(
    journal: Journal,
    claims: Mapping[str, Claim],
    *,
    name: str = "kvm_immediate_exit",
    troubles: Sequence[str] = (),
    place: Path | None = None,
) -> FoundSuite:
    """A run's journal, complete or not, by the catalogue of claims.

    Each of `troubles` is a sentence about the run as a whole, and an error. Without one, the journal
    itself may have one to tell; and a suite without any test gets one: nothing is no success.
    """
    troubles = troubles or list(_of_no_success(journal))
    issues = known_issues.explaining(journal.environment)
    findings = verdict.judge(
        journal.results,
        planned=journal.planned,
        claims=claims,
        collection_errors=len(journal.collection_errors),
        rest=journal.rest,
    )
    waiting: dict[str, list[FoundTest]] = {}
    for test in journal.not_run:
        began = journal.started.get(test, "")
        said = "its run ended in the middle of it" if began else "its run ended before its turn"
        missed = FoundTest(test, Status.MISSED, message=said, began=began)
        waiting.setdefault(journal.planned[test], []).append(missed)
    found = [
        FoundClaim(
            each.claim,
            claims[each.claim].sentence if each.claim in claims else "",
            (
                *(_of_result(result, journal.started, issues) for result in each.results),
                *waiting.get(each.claim, ()),
            ),
            each.state.value if each.applies else NOT_APPLICABLE,
        )
        for each in findings.claims
        if each.results or each.claim in waiting
    ]
    of_the_run = [*_of_collection(journal), *_of_sentences(troubles)]
    if not (found or of_the_run):
        of_the_run = list(_of_sentences(["no test was planned, and none ran"]))
    if of_the_run:
        found.append(FoundClaim(OF_THE_RUN, "", tuple(of_the_run)))
    times = sorted(filter(None, (*journal.started.values(), *(r.time for r in journal.results))))
    return FoundSuite(
        name,
        tuple(found),
        journal.environment,
        times[0] if times else "",
        times[-1] if times else "",
        verdict=verdict_text.sentence(findings, issues, in_order=not troubles)[0],
        place=place,
    )


def of_nothing(why: str) -> FoundSuite:
    """In the place of a run that left no journal; `why` is a sentence."""
    claim = FoundClaim(OF_THE_RUN, "", tuple(_of_sentences([why])))
    return FoundSuite("kvm_immediate_exit", (claim,))


def _of_result(
    result: Result, started: Mapping[str, str], issues: Mapping[str, KnownIssue]
) -> FoundTest:
    failed = result.outcome.against_kernel
    return FoundTest(
        result.id,
        _STATUS[result.outcome],
        result.reason,
        result.message or ("" if result.outcome is TestOutcome.PASSED else result.outcome.value),
        result.detail,
        result.duration_s,
        started.get(result.id, ""),
        result.time,
        issues.get(result.id) if failed else None,
    )


def _of_no_success(journal: Journal) -> Iterator[str]:
    """Why a run is no success although each of its results is good; the exit code says it, too."""
    bad = any(_STATUS[result.outcome].bad for result in journal.results)
    if bad or journal.not_run or journal.collection_errors or not journal.has_session:
        return
    if journal.exit_status is None:
        yield "the run did not come to its end"
    elif journal.rest:
        yield " ".join(verdict_text.missing(journal.rest, len(journal.planned)))
    elif journal.exit_status not in _GOOD_ENDS:
        yield f"no test failed, but pytest's exit status is {journal.exit_status}"


def _of_collection(journal: Journal) -> Iterator[FoundTest]:
    for number, (where, message) in enumerate(journal.collection_errors, start=1):
        said = f"{where or 'the suites'} broke outside of the tests"
        yield FoundTest(f"{OF_THE_RUN}.collection_{number}", Status.ERROR, "", said, message)


def _of_sentences(troubles: Iterable[str]) -> Iterator[FoundTest]:
    for number, sentence in enumerate(troubles, start=1):
        said = sentence or "the run broke off"
        yield FoundTest(f"{OF_THE_RUN}.whole_{number}", Status.ERROR, "", said)
