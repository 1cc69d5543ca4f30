# SPDX-License-Identifier: GPL-2.0-only
"""KCIDB, schema 5.2 (kcidb-io), which the newest takes as well: a checkout and a build a run, and a test for each of ours.

MISS is what had no turn or no end: the harness failed, and not the test. Extra facts go to `misc`,
the one place where the schema lets them be.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.claims.known_issues import KnownIssue
from lab.results import names
from lab.results.found import FoundClaim, FoundSuite, FoundTest, Status

VERSION = {"major": 5, "minor": 2}
#: Who submits says so; a name of letters, digits and underscores.
ORIGIN = "kvm_immediate_exit"
_STATUS = {
    Status.PASSED: "PASS",
    Status.SKIPPED: "SKIP",
    Status.FAILED: "FAIL",
    Status.ERROR: "ERROR",
    Status.MISSED: "MISS",
}
_LONGEST_EXCERPT = 16384


def render(suites: Sequence[FoundSuite]) -> str:
    """The file."""
    return json.dumps(document(suites), indent=1, ensure_ascii=True) + "\n"


def document(suites: Sequence[FoundSuite]) -> Mapping[str, Any]:
    """What stands in it."""
    runs = [(suite, _run(suite)) for suite in suites]
    return {
        "version": VERSION,
        "checkouts": [_checkout(suite, run) for suite, run in runs],
        "builds": [_build(suite, run) for suite, run in runs],
        "tests": [test for suite, run in runs for test in _tests(suite, run)],
        "issues": [_issue(each) for each in dict.fromkeys(_issues(suites))],
        "incidents": [each for suite, run in runs for each in _incidents(suite, run)],
    }


def _run(suite: FoundSuite) -> str:
    """An id of the run: the same for the same results."""
    told = [suite.name, suite.began, suite.ended, *sorted(map(str, suite.environment.items()))]
    return hashlib.sha256("\n".join(told).encode("utf-8", "replace")).hexdigest()[:16]


def _release(suite: FoundSuite) -> str:
    return names.sentence(suite.environment.get("kernel", "an unknown kernel"))


def _checkout(suite: FoundSuite, run: str) -> Mapping[str, Any]:
    return {"id": f"{ORIGIN}:{run}", "origin": ORIGIN, "comment": _release(suite), "misc": {}}


def _build(suite: FoundSuite, run: str) -> Mapping[str, Any]:
    return {
        "id": f"{ORIGIN}:{run}",
        "origin": ORIGIN,
        "checkout_id": f"{ORIGIN}:{run}",
        "comment": _release(suite),
        "misc": {},
    }


def _issues(suites: Sequence[FoundSuite]) -> Iterator[KnownIssue]:
    for suite in suites:
        yield from suite.issues()


def _issue_id(issue: KnownIssue) -> str:
    return f"{ORIGIN}:{issue.commit}_{names.word(issue.claim)}"


def _issue(issue: KnownIssue) -> Mapping[str, Any]:
    return {
        "id": _issue_id(issue),
        "version": issue.version,
        "origin": ORIGIN,
        "report_url": issue.link,
        "report_subject": issue.sentence,
        "culprit": {"code": True, "tool": False, "harness": False},
        "comment": issue.explain(),
        "misc": {"claim": issue.claim, "commit": issue.commit},
    }


def _incidents(suite: FoundSuite, run: str) -> Iterator[Mapping[str, Any]]:
    """That a known bug showed in a test: the test stays FAIL, for KCIDB has no other word."""
    for title, (_, test) in _titled(suite):
        if test.issue:
            yield {
                "id": f"{ORIGIN}:{run}_{names.word(title)}",
                "origin": ORIGIN,
                "issue_id": _issue_id(test.issue),
                "issue_version": test.issue.version,
                "test_id": f"{ORIGIN}:{run}_{names.word(title)}",
                "present": True,
            }


def _titled(suite: FoundSuite) -> list[tuple[str, tuple[FoundClaim, FoundTest]]]:
    """All tests with a name each."""
    listed = [(claim, test) for claim in suite.claims for test in claim.tests]
    return list(zip(names.apart(test.name for _, test in listed), listed, strict=True))


def _tests(suite: FoundSuite, run: str) -> Iterator[Mapping[str, Any]]:
    environment = {
        "comment": names.sentence(suite.environment.get("tier", "")) or "unknown tier",
        "misc": {names.word(key): names.sentence(value) for key, value in suite.environment.items()},
    }
    for title, (claim, test) in _titled(suite):
        yield _test(title, claim, test, run, environment)


def _test(
    title: str, claim: FoundClaim, test: FoundTest, run: str, environment: Mapping[str, Any]
) -> Mapping[str, Any]:
    path = ".".join(map(names.word, ("kvm_immediate_exit", *title.split("."))))
    found: dict[str, Any] = {
        "id": f"{ORIGIN}:{run}_{names.word(title)}",
        "origin": ORIGIN,
        "build_id": f"{ORIGIN}:{run}",
        "path": path,
        "status": _STATUS[test.status],
        "duration": round(test.seconds, 3),
        "environment": environment,
        "comment": names.sentence(claim.sentence or claim.name),
        "misc": {"claim": claim.name, "message": names.sentence(test.said)},
    }
    if test.began:
        found["start_time"] = test.began
    if test.status.bad and test.detail:
        found["log_excerpt"] = test.detail[-_LONGEST_EXCERPT:]
    return found
