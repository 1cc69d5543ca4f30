# SPDX-License-Identifier: GPL-2.0-only
"""One result a test, put together from the reports of its phases."""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from harness.host.features import REASONS
from harness.kvm.abi import OUT_OF_RESOURCES, KvmError
from harness.reporting import last_words, once

#: The longest detail kept, in characters: KCIDB's limit for an excerpt of a log.
DETAIL_LIMIT = 16384

#: Of a report what its test asked of KVM (calls.py), and the property of a result that has it.
CALLS = "calls"

#: The phase of the report that pytest-xdist and pytest-forked make up for a process that died.
CRASH_PHASE = "???"

_SKIP = re.compile(r"(?:Skipped: )?([a-z0-9_]+): *(.*)", re.DOTALL)


class TestOutcome(str, enum.Enum):
    """What became of a test.

    FAILED and CRASHED speak against the kernel; ERROR says that there is no verdict: the suite
    broke, or what ran it was ended. CRASHED: the kernel ended the process that ran the test
    (harness/reporting/proof.py).
    """

    __test__ = False  # no class of tests for pytest

    PASSED = "passed"
    SKIPPED = "skipped"
    ERROR = "error"
    FAILED = "failed"
    CRASHED = "crashed"

    @property
    def against_kernel(self) -> bool:
        """Whether a claim falls by it."""
        return self in (TestOutcome.FAILED, TestOutcome.CRASHED)


#: A later phase may only make an outcome worse.
_SEVERITY = list(TestOutcome)


@dataclass(frozen=True)
class Result:
    """What one test found.

    ``reason`` is the token of a skip, else empty. ``message`` is one line. ``duration_s`` sums
    the phases. ``worker`` is empty without pytest-xdist. ``time`` is when it ended, UTC.
    ``properties`` are what the test itself recorded: counts, costs.
    """

    id: str
    claim: str
    outcome: TestOutcome
    phase: str
    reason: str
    message: str
    detail: str
    duration_s: float
    worker: str
    time: str
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class _Pending:
    outcome: TestOutcome = TestOutcome.PASSED
    phase: str = "call"
    reason: str = ""
    message: str = ""
    details: list[str] = field(default_factory=list)
    duration_s: float = 0.0
    claim: str = ""
    properties: dict[str, Any] = field(default_factory=dict)
    reports: once.Sequence = field(default_factory=once.Sequence)


def evidence(report: pytest.TestReport, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
    """What the process that ran the test knows of its failure; travels with the report."""
    value = excinfo.value
    # KvmError: an ioctl of the test's own body failed; in a fixture it may be the host's limits.
    refused = isinstance(value, KvmError) and report.when == "call" and not _limited(value)
    verdict = refused or isinstance(value, (AssertionError, pytest.fail.Exception))
    text = str(value) if verdict else excinfo.exconly()
    return {
        "verdict": verdict,
        "message": first_line(text) or type(value).__name__,
        "detail": shorten(report.longreprtext),
    }


def _limited(error: KvmError) -> bool:
    """Whether the host's limits may have caused it."""
    return error.errno in OUT_OF_RESOURCES and error.ioctl != "KVM_RUN"


def died(how: str, proof: str) -> tuple[TestOutcome, str]:
    """TestOutcome and sentence of a test whose process ended by ``how``.

    It speaks against the kernel only with a ``proof`` (harness/reporting/proof.py); last words that
    accuse nobody are none.
    """
    if proof:
        return TestOutcome.CRASHED if last_words.accuse(proof) else TestOutcome.ERROR, proof
    return TestOutcome.ERROR, f"lost: {how}; nothing shows that the kernel ended it"


def first_line(text: str) -> str:
    """The first line with something in it."""
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


def shorten(text: str, limit: int = DETAIL_LIMIT) -> str:
    """The text, or its beginning and end when it is too long."""
    if len(text) <= limit:
        return text
    half = limit // 2 - 20
    return f"{text[:half]}\n[... cut ...]\n{text[-half:]}"


def split_skip(text: str) -> tuple[str, str]:
    """Token and prose of a skip's reason. ``unstated`` where the reason has no token."""
    match = _SKIP.fullmatch(text.strip())
    if match is None:
        return "unstated", first_line(text.removeprefix("Skipped: "))
    return match.group(1), first_line(match.group(2))


class Assembler:
    """Takes reports as they come, gives a result when a test is through.

    ``common`` names the properties that every test carries; the others are the test's own.
    ``proof`` gives what shows that the kernel ended the process of a test, by its id.
    """

    def __init__(
        self, common: Collection[str] = (), proof: Callable[[str], str] = lambda _: ""
    ) -> None:
        self._pending: dict[str, _Pending] = {}
        self._proof = proof
        self._common = {"id", "claim", *common}

    def add(
        self, report: pytest.TestReport, identifier: str, *, now: str, worker: str = ""
    ) -> Result | None:
        """Take one report of the test with this result id; the result when it was its last.

        A test counts only once its teardown is known: a warning in the kernel log or a leaked
        descriptor is found there.
        """
        pending = self._pending.setdefault(identifier, _Pending())
        pending.duration_s += getattr(report, "duration", 0.0)
        pending.claim = pending.claim or str(dict(report.user_properties).get("claim", ""))
        for name, value in report.user_properties:
            if name not in self._common:
                pending.properties[name] = value
        if calls := getattr(report, CALLS, ""):
            pending.properties[CALLS] = calls
        when = str(report.when)
        if when == CRASH_PHASE:
            return self.lose(identifier, first_line(str(report.longrepr)), now=now, worker=worker)
        told: dict[str, Any] = getattr(report, "conformance", {})
        if report.failed or told:
            verdict = bool(told.get("verdict"))
            detail = told.get("detail", shorten(report.longreprtext))
            message = told.get("message", first_line(report.longreprtext))
            outcome = TestOutcome.FAILED if verdict else TestOutcome.ERROR
            _worsen(pending, outcome, when, message, detail)
        elif report.skipped:
            text = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
            if hasattr(report, "wasxfail"):
                text = f"expected_failure: {report.wasxfail}"
            reason, message = split_skip(text)
            if reason in REASONS:
                _worsen(pending, TestOutcome.SKIPPED, when, message, "")
                pending.reason = reason
            else:
                complaint = f"skipped without one of the known words: {first_line(text)}"
                _worsen(pending, TestOutcome.ERROR, when, complaint, text)
        complaint = pending.reports.complaint(report)
        if not complaint and when == "teardown" and pending.outcome is TestOutcome.PASSED:
            complaint = "" if pending.reports.has_called else "its body did not run"
        if complaint:
            _worsen(pending, TestOutcome.ERROR, when, complaint, complaint)
        return self._finish(identifier, now, worker) if when == "teardown" else None

    def lose(self, identifier: str, how: str, *, now: str, worker: str = "") -> Result:
        """The result of a test whose process ended by ``how`` before the test did."""
        pending = self._pending.setdefault(identifier, _Pending())
        outcome, message = died(how, self._proof(identifier))
        _worsen(pending, outcome, "call", message, how)
        return self._finish(identifier, now, worker)

    def abandoned(self, *, now: str) -> list[Result]:
        """Results of tests that failed and whose teardown never came; the others are dropped."""
        failed = [name for name, each in self._pending.items() if each.outcome.against_kernel]
        results = [self._finish(name, now, "") for name in failed]
        self._pending.clear()
        return results

    def _finish(self, identifier: str, now: str, worker: str) -> Result:
        pending = self._pending.pop(identifier)
        if pending.outcome is TestOutcome.ERROR and (proof := self._proof(identifier)):
            # A process beside the test's own, which the kernel ended: the test only misses it.
            outcome, message = died("", proof)
            _worsen(pending, outcome, pending.phase, message, message)
        skipped = pending.outcome is TestOutcome.SKIPPED
        return Result(
            id=identifier,
            claim=pending.claim,
            outcome=pending.outcome,
            phase=pending.phase,
            reason=pending.reason if skipped else "",
            message=pending.message,
            detail="\n\n".join(filter(None, pending.details)),
            duration_s=round(pending.duration_s, 6),
            worker=worker,
            time=now,
            properties=pending.properties,
        )


def _worsen(pending: _Pending, outcome: TestOutcome, phase: str, message: str, detail: str) -> None:
    pending.details.append(detail)
    if _SEVERITY.index(outcome) > _SEVERITY.index(pending.outcome):
        pending.outcome, pending.phase, pending.message = outcome, phase, message
