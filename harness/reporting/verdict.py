# SPDX-License-Identifier: GPL-2.0-only
"""What the results say about each claim. harness/reporting/verdict_text.py tells it."""

from __future__ import annotations

import enum
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from harness.claims import Claim
from harness.host.features import OF_THE_WHOLE_HOST
from harness.kvm.offers import ANSWERS
from harness.reporting.results import Result, TestOutcome
from harness.reporting.selection import Rest

#: A test for another architecture says nothing about its claim here.
_ELSEWHERE = "other_architecture"
#: What a claim that does not apply to this kernel or architecture is skipped with.
_DOES_NOT_APPLY = frozenset({_ELSEWHERE, "has_capability", "no_capability"})


class ClaimState(enum.Enum):
    """What is known of a claim.

    PARTLY: it held where it could be tested, and not everywhere. NOT_RUN: its turn did not come.
    NOT_CHOSEN: none of its tests was to run.
    """

    HELD = "held"
    PARTLY = "held in part"
    NOT_TESTED = "not tested"
    NOT_RUN = "not run"
    NOT_CHOSEN = "not chosen"
    BROKEN = "not judged"
    FAILED = "FAILED"


@dataclass(frozen=True)
class Finding:
    """One claim's state with the results behind it.

    ``not_run`` are planned tests without a result, ``not_chosen`` tests that were not planned.
    """

    claim: str
    state: ClaimState
    results: tuple[Result, ...]
    not_run: int
    not_chosen: int = 0

    @property
    def tests(self) -> int:
        """All that it has here."""
        return len(self.results) + self.not_run + self.not_chosen

    def of(self, *outcomes: TestOutcome) -> list[Result]:
        """Its results with one of these outcomes."""
        return [result for result in self.results if result.outcome in outcomes]

    @property
    def applies(self) -> bool:
        """Whether the claim speaks about kernels like this one."""
        skipped = {result.reason for result in self.of(TestOutcome.SKIPPED)}
        return self.state is not ClaimState.NOT_TESTED or not skipped <= _DOES_NOT_APPLY


@dataclass(frozen=True)
class Findings:
    """Every claim of a run, in the catalogue's order, and what spoke about none."""

    claims: tuple[Finding, ...]
    planned: int
    run: int
    collection_errors: int
    rest: Rest = field(default_factory=Rest)

    def having(self, *states: ClaimState) -> list[Finding]:
        """The claims in one of these states."""
        return [finding for finding in self.claims if finding.state in states]

    def untested(self, *, applies: bool = True) -> list[Finding]:
        """The claims that could not be tested; or those that do not apply to this kernel."""
        return [each for each in self.having(ClaimState.NOT_TESTED) if each.applies is applies]


def judge(
    results: Iterable[Result],
    *,
    planned: Mapping[str, str],
    claims: Mapping[str, Claim],
    collection_errors: int = 0,
    rest: Rest = Rest(),  # noqa: B008 - frozen
) -> Findings:
    """Sort results by claim. ``planned`` maps result ids to claims; ``rest`` was not planned."""
    results = _without_contradictions(list(results))
    by_claim: dict[str, list[Result]] = {
        claim: [] for claim in (*planned.values(), *rest.not_chosen.values())
    }
    for result in results:
        by_claim.setdefault(result.claim, []).append(result)
    done = {result.id for found in by_claim.values() for result in found}
    waiting = Counter(claim for name, claim in planned.items() if name not in done)
    left = Counter(claim for name, claim in rest.not_chosen.items() if name not in done)
    order = {name: number for number, name in enumerate(claims)}
    findings = tuple(
        Finding(
            name,
            _state(found, waiting[name], left[name]),
            tuple(found),
            waiting[name],
            left[name],
        )
        for name, found in sorted(by_claim.items(), key=lambda pair: order.get(pair[0], -1))
    )
    return Findings(findings, len(set(planned) | done), len(done), collection_errors, rest)


def _without_contradictions(results: Sequence[Result]) -> Sequence[Result]:
    """A skip that the run's own results contradict is no verdict.

    A test that ran shows that this host can. And where KVM answered one question in two ways, no
    skip of a test that asked it counts, whichever answer it got.
    """
    ran = any(r.outcome is TestOutcome.PASSED or r.outcome.against_kernel for r in results)
    answers: defaultdict[str, set[str]] = defaultdict(set)
    for question, answer in chain.from_iterable(map(_answers, results)):
        answers[question].add(answer)

    def contradiction(each: Result) -> str:
        for question, _ in _answers(each):
            if len(answers[question]) > 1:
                return f"this KVM said of {question}: {' and '.join(sorted(answers[question]))}"
        return "other tests ran" if ran and each.reason in OF_THE_WHOLE_HOST else ""

    return [
        replace(each, outcome=TestOutcome.ERROR, message=f"{why}, but here: {each.message}")
        if each.outcome is TestOutcome.SKIPPED and (why := contradiction(each))
        else each
        for each in results
    ]


def _answers(result: Result) -> Iterator[tuple[str, str]]:
    """What KVM said of itself in a test. A journal's properties may be anything."""
    told = result.properties.get(ANSWERS)
    for question, answers in told.items() if isinstance(told, dict) else ():
        for answer in answers if isinstance(answers, list) else ():
            yield str(question), str(answer)


def _state(results: Sequence[Result], not_run: int, not_chosen: int) -> ClaimState:
    outcomes = {result.outcome for result in results}
    if any(outcome.against_kernel for outcome in outcomes):
        return ClaimState.FAILED
    if TestOutcome.ERROR in outcomes:
        return ClaimState.BROKEN
    if TestOutcome.PASSED not in outcomes:
        if not results and not not_run:
            return ClaimState.NOT_CHOSEN
        return ClaimState.NOT_RUN if not_run else ClaimState.NOT_TESTED
    skips = [r for r in results if r.outcome is TestOutcome.SKIPPED and r.reason != _ELSEWHERE]
    return ClaimState.PARTLY if skips or not_run or not_chosen else ClaimState.HELD
