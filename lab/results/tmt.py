# SPDX-License-Identifier: GPL-2.0-only
"""tmt's results.yaml, for `result: custom`: a claim a result, a test a subresult."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from lab.results import names
from lab.results.found import FoundClaim, FoundSuite, FoundTest, Status

_RESULT = {
    Status.PASSED: "pass",
    Status.SKIPPED: "skip",
    Status.FAILED: "fail",
    Status.ERROR: "error",
    Status.MISSED: "error",
}


def render(suites: Sequence[FoundSuite]) -> str:
    """The file: JSON is YAML as well, and tmt takes results.json too."""
    several = len(suites) > 1
    listed = [
        _claim(claim, f"/{names.word(suite.name)}" if several else "")
        for suite in suites
        for claim in suite.claims
    ]
    return msgspec.json.format(msgspec.json.encode(listed), indent=1).decode() + "\n"


def _claim(claim: FoundClaim, prefix: str) -> Mapping[str, Any]:
    titles = names.apart(test.name for test in claim.tests)
    seconds = sum(test.seconds for test in claim.tests)
    bad = [test for test in claim.tests if test.status.bad]
    issues = dict.fromkeys(test.issue.name_it() for test in bad if test.issue)
    notes = [claim.sentence, *issues, *(test.message for test in bad)]
    return {
        "name": f"{prefix}/{'/'.join(map(names.word, claim.name.split('.')))}",
        "result": _RESULT[claim.status],
        "note": [names.sentence(each) for each in notes if each],
        "duration": _duration(seconds),
        "subresult": [
            _test(title, test) for title, test in zip(titles, claim.tests, strict=True)
        ],
    }


def _test(title: str, test: FoundTest) -> Mapping[str, Any]:
    issue = test.issue.name_it() if test.issue else ""
    return {
        "name": f"/{title}",
        "result": _RESULT[test.status],
        "note": [names.sentence(each) for each in (test.said, issue) if each],
        "duration": _duration(test.seconds),
    }


def _duration(seconds: float) -> str:
    """Whole seconds, as tmt has them: hh:mm:ss."""
    whole = round(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"
