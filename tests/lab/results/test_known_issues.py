# SPDX-License-Identifier: GPL-2.0-only
"""A failure by a known bug of the kernel stays one, and each format names the bug its own way."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.claims import catalogue, known_issues
from harness.reporting import journal
from harness.reporting.results import Result, TestOutcome
from lab.results import formats
from lab.results.found import FoundSuite, Status, of_journal

(ISSUE, *_) = known_issues.read(known_issues.FILE)
NAMED = f"A known bug ({ISSUE.commit}): {ISSUE.sentence}"
OTHER = "vcpu_states.other"


@pytest.fixture
def suite(tmp_path: Path) -> FoundSuite:
    """A test of the bug failed, the other one passed, and a third of this claim failed too."""
    outcomes = {
        ISSUE.tests[0]: TestOutcome.FAILED,
        ISSUE.tests[1]: TestOutcome.PASSED,
        OTHER: TestOutcome.FAILED,
    }
    path = tmp_path / journal.NAME
    with journal.Writer(path) as writer:
        writer.session({"kernel": "6.12.95+deb13-amd64", "tier": "emulated"})
        writer.planned(dict.fromkeys(outcomes, ISSUE.claim))
        for test, outcome in outcomes.items():
            message = "it was accepted" if outcome is TestOutcome.FAILED else ""
            writer.result(
                Result(test, ISSUE.claim, outcome, "call", "", message, "detail", 0.1, "", "")
            )
        writer.end(1)
    return of_journal(journal.read(path), catalogue())


def rendered(wanted: str, *suites: FoundSuite) -> str:
    return formats.FORMATS[wanted].render(suites)


def test_only_what_failed_by_it_has_it_and_nothing_becomes_better(suite: FoundSuite) -> None:
    assert {test.name: test.issue for test in suite.tests()} == {
        ISSUE.tests[0]: ISSUE,
        ISSUE.tests[1]: None,
        OTHER: None,
    }
    assert suite.counts() == {Status.FAILED: 2, Status.PASSED: 1}


@pytest.mark.parametrize("wanted", ["ktap", "kselftest", "tap"])
def test_tap_has_a_line_before_the_result(wanted: str, suite: FoundSuite) -> None:
    lines = [line.strip() for line in rendered(wanted, suite).splitlines()]
    (place,) = (number for number, line in enumerate(lines) if line == f"# {NAMED}")
    assert lines[place + 1] == f"not ok 1 {ISSUE.tests[0]}"
    assert "TODO" not in rendered(wanted, suite)


def test_junit_has_it_in_the_message_and_as_a_property(suite: FoundSuite) -> None:
    root = ElementTree.fromstring(rendered("junit", suite).encode())
    messages = [each.get("message") for each in root.iter("failure")]
    assert messages == [f"it was accepted {NAMED}", "it was accepted"]
    told = {each.get("name"): each.get("value") for each in root.iter("property")}
    said = told[f"known_issue.{ISSUE.commit}.{ISSUE.claim}"]
    assert said == f"{ISSUE.sentence} {ISSUE.link}"


def test_kcidb_has_an_issue_and_an_incident(suite: FoundSuite) -> None:
    document = json.loads(rendered("kcidb", suite, suite))
    (issue,) = document["issues"]
    assert (issue["version"], issue["report_url"]) == (ISSUE.version, ISSUE.link)
    assert issue["culprit"]["code"] is True
    first, second = document["incidents"]
    assert first["issue_id"] == second["issue_id"] == issue["id"]
    failed = {test["id"]: test["status"] for test in document["tests"]}
    assert failed[first["test_id"]] == "FAIL"
    schema = pytest.importorskip("kcidb_io").schema
    for version in (schema.LATEST, schema.LATEST.previous):
        version.validate(document)


def test_tmt_notes_it_at_the_claim_and_at_the_test(suite: FoundSuite) -> None:
    (claim,) = json.loads(rendered("tmt", suite))
    assert (claim["result"], claim["note"].count(NAMED)) == ("fail", 1)
    noted = [test["note"].count(NAMED) for test in claim["subresult"]]
    assert noted == [1, 0, 0]


def test_lava_knows_no_words_for_it(suite: FoundSuite) -> None:
    assert rendered("lava", suite).splitlines()[0] == f"{ISSUE.tests[0]} fail"
    assert ISSUE.commit not in rendered("lava", suite) + rendered("lava-signals", suite)


def test_people_and_programs_are_told(suite: FoundSuite) -> None:
    assert f"**A known bug \\({ISSUE.commit}\\): KVM\\_RUN" in rendered("md", suite)
    assert f"<{ISSUE.link}>" in rendered("md", suite)
    ((claim,),) = ([*each["claims"]] for each in json.loads(rendered("json", suite))["suites"])
    known = [test["issue"] and test["issue"]["commit"] for test in claim["tests"]]
    assert known == [ISSUE.commit, None, None]
