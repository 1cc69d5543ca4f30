# SPDX-License-Identifier: GPL-2.0-only
"""Results against earlier ones: what is worse, what is not, and in which order it is told."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from harness.claims import known_issues
from lab.comparison import telling
from lab.comparison.results import compare
from lab.comparison.telling import TELLINGS, Side
from lab.results.found import OF_THE_RUN, FoundClaim
from tests.lab.comparison.suites import suite
from tests.lab.results import journals

CLAIM = "preset.repeats"


def changed(before: str, after: str) -> list[tuple[str, bool]]:
    """The kinds of change of one claim, and whether they are worse."""
    made = [suite({CLAIM: words} if words else {}) for words in (before, after)]
    return [(each.kind.value, each.kind.worse) for each in compare(made[:1], made[1:])]


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        ("passed failed no_smm error missed", "passed failed no_smm error passed", ["tested"]),
        ("passed passed", "passed failed", ["fails"]),
        ("no_smm", "failed", ["fails"]),
        ("failed passed", "failed failed", ["fails"]),
        ("passed", "error", ["no verdict"]),
        ("failed", "error", ["no verdict"]),
        ("passed passed", "passed missed", ["cut"]),
        ("passed missed", "passed missed", ["cut"]),
        ("passed passed", "no_smm no_smm", ["not tested"]),
        ("failed", "no_smm", ["not tested"]),
        ("passed passed", "busy_host repeated_interrupt", ["not tested", "not tested"]),
        ("passed passed no_smm", "passed no_smm no_smm", ["skips"]),
        ("passed no_smm", "passed no_stats", ["skips"]),
        ("no_smm", "no_stats", ["skips"]),
        ("passed passed", "", ["gone"]),
        ("passed", "failed failed no_stats", ["fails", "appeared"]),
        ("", "failed", ["fails"]),
        ("", "error", ["no verdict"]),
    ],
)
def test_what_is_worse(before: str, after: str, kinds: list[str]) -> None:
    found = changed(before, after)
    assert [kind for kind, _ in found] == kinds
    assert found[0][1] is (kinds != ["tested"])


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        ("passed failed no_smm error", "passed failed no_smm error", []),
        ("error", "error", []),
        ("missed", "passed", ["tested"]),
        ("failed", "passed", ["holds"]),
        ("no_smm error passed", "passed passed passed", ["tested", "tested"]),
        ("error", "no_smm", ["otherwise"]),
        ("passed passed", "passed busy_host", ["otherwise"]),
        ("passed busy_host", "passed passed", ["otherwise"]),
        ("busy_host", "passed", ["tested"]),
        ("passed", "has_capability", []),
        ("passed no_smm", "other_architecture other_architecture", []),
        ("no_smm no_smm", "", ["vanished"]),
        ("passed passed", "passed", ["vanished"]),
        ("passed", "passed passed no_smm", ["appeared"]),
        ("", "passed", ["appeared"]),
    ],
)
def test_what_is_not_worse(before: str, after: str, kinds: list[str]) -> None:
    assert changed(before, after) == [(kind, False) for kind in kinds]


def test_the_most_important_comes_first_and_is_counted() -> None:
    claims = ["preset.a", "preset.b", "preset.c", "preset.d", "preset.e"]
    before = ["no_smm", "passed", "passed", "failed", "passed passed"]
    after = ["passed", "no_smm", "failed", "passed", "passed no_smm"]
    made = [suite(dict(zip(claims, words, strict=True))) for words in (before, after)]
    found = compare(made[:1], made[1:])
    assert [each.claim[-1] for each in found] == ["c", "b", "e", "d", "a"]
    assert telling.sentence(found) == (
        "Worse: 1 claim fails, 1 claim is not tested any more, 1 claim is tested less."
    )
    assert telling.sentence(found[3:]) == (
        "Better: 1 claim holds that failed, 1 claim is tested more; nothing is worse."
    )
    assert "no_smm (this host has none)" in found[1].said
    assert "preset.c.t0: it failed" in found[0].said


def test_kernels_are_paired_by_their_names() -> None:
    before = [suite({CLAIM: "passed"}, "k6_1"), suite({CLAIM: "passed"}, "k6_12")]
    after = [suite({CLAIM: "failed"}, "k6_12"), suite({CLAIM: "failed"}, "k7_2")]
    found = [(each.kind.value, each.place) for each in compare(before, after)]
    assert found == [("fails", f"k6_12, {CLAIM}"), ("gone", "k6_1"), ("appeared", "k7_2")]
    # One run and one run are the same thing, whatever their folders are called.
    assert compare(before[:1], [suite({CLAIM: "passed"}, "other")]) == []


def test_a_known_bug_is_named_and_worse_all_the_same() -> None:
    (issue, *_) = known_issues.read(known_issues.FILE)
    after = suite({CLAIM: "failed failed"})
    (claim,) = after.claims
    known = tuple(dataclasses.replace(test, issue=issue) for test in claim.tests)
    made = dataclasses.replace(after, claims=(dataclasses.replace(claim, tests=known),))
    (found,) = compare([suite({CLAIM: "passed passed"})], [made])
    assert found.commit == issue.commit
    assert issue.name_it() in found.said
    assert found.kind.worse
    half = dataclasses.replace(claim, tests=(known[0], claim.tests[1]))
    (found,) = compare(
        [suite({CLAIM: "passed passed"})], [dataclasses.replace(after, claims=(half,))]
    )
    assert found.commit == "", "one of the two is nobody's yet"


def test_what_is_said_of_the_run_as_a_whole() -> None:
    broke = suite({CLAIM: "passed", OF_THE_RUN: "error"})
    sound = suite({CLAIM: "passed"})
    assert [each.kind.value for each in compare([sound], [broke])] == ["no verdict"]
    assert [each.kind.value for each in compare([broke], [sound])] == ["otherwise"]


def test_a_cut_run_names_claims_that_held(tmp_path: Path) -> None:
    made = [journals.found(kind, tmp_path) for kind in ("sound", "lost")]
    (found,) = compare(made[:1], made[1:])
    assert found.said.startswith("the run was cut: 24 of 24 tests have no result; 6 claims held")
    assert journals.CLAIMS[0] in found.said
    assert len(found.tests) == 24
    assert telling.sentence([found]) == "Worse: 1 run was cut."


def test_claims_that_lack_the_same_are_told_together() -> None:
    claims = [f"preset.c{number}" for number in range(5)]
    made = [suite(dict.fromkeys(claims, word)) for word in ("passed", "no_kvm")]
    found = compare(made[:1], made[1:])
    assert len(found) == 5
    told = telling.text(Side("a", made[:1]), Side("b", made[1:]), found).splitlines()
    assert told[0] == "Worse: 5 claims are not tested any more."
    assert told[2].startswith("not tested  5 claims, no_kvm: preset.c0, preset.c1,")
    assert "not tested  preset.c0: it was tested before, and" in telling.text(
        Side("a", made[:1]), Side("b", made[1:]), found[:3]
    )


def sides(tmp_path: Path) -> tuple[Side, Side]:
    return tuple(  # type: ignore[return-value]
        Side(kind, [journals.found(kind, tmp_path)]) for kind in ("sound", "broken")
    )


def test_a_mail_has_the_verdict_in_its_first_line(tmp_path: Path) -> None:
    before, after = sides(tmp_path)
    lines = telling.text(before, after, compare(before.suites, after.suites)).splitlines()
    assert lines[0] == "Worse: 4 claims fail, 2 claims came to no verdict."
    assert max(map(len, lines)) <= telling.WIDTH
    labels = [line[:12].strip() for line in lines[1:] if line[:12].strip()]
    assert labels == ["fails"] * 4 + ["no verdict"] * 2 + ["before", "after"]
    assert lines[-2].startswith("before      sound: Linux 6.1.0-odd [x]")


@pytest.mark.parametrize("wanted", TELLINGS)
def test_no_telling_obeys_what_a_kernel_said(wanted: str, tmp_path: Path) -> None:
    before, after = sides(tmp_path)
    odd = FoundClaim("x\x1b[31m\n| <b>", "", after.suites[0].claims[0].tests)
    made = dataclasses.replace(after.suites[0], claims=(odd,))
    told = TELLINGS[wanted](before, Side("a", [made]), compare(before.suites, [made]))
    assert "\x1b" not in told
    if wanted == "md":
        assert "<b>" not in told
        rows = [line for line in told.splitlines() if line.startswith("|")]
        assert all(len(row.replace("\\|", "").split("|")) == 5 for row in rows)


def test_programs_get_every_name(tmp_path: Path) -> None:
    before, after = sides(tmp_path)
    found = compare(before.suites, after.suites)
    told = json.loads(telling.as_json(before, after, found))
    assert (told["version"], told["worse"]) == (1, True)
    assert told["before"]["runs"][0]["environment"]["kernel"] == "6.1.0-odd [x]"
    assert [(each["kind"], each["claim"], each["tests"]) for each in told["changes"]] == [
        (each.kind.value, each.claim, list(each.tests)) for each in found
    ]
