# SPDX-License-Identifier: GPL-2.0-only
"""Baselines: what is made of results, what is no baseline, and what is held against one."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.comparison import baseline as baselines
from lab.comparison.baseline import BaselineError
from lab.results.found import FoundSuite
from tests.lab.comparison.suites import suite

HELD = "preset.repeats"
PART = "states.single_step"
WHOLE = "completion.xen"
BAD = "states.precedence"
HOST = {HELD: "passed", PART: "passed no_smm no_smm", WHOLE: "no_stats", BAD: "failed passed"}


def changed(file: Path, *suites: FoundSuite) -> list[tuple[str, str]]:
    return [(each.kind.value, each.place) for each in baselines.hold(suites, baselines.read(file))]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "host.toml"
    path.write_text(baselines.written([suite(HOST)]))
    return path


def test_results_are_as_their_own_baseline_declares(file: Path) -> None:
    assert changed(file, suite(HOST)) == []
    declared = baselines.read(file)
    assert [(each.claim, each.reason, each.most) for each in declared.skips] == [
        (PART, "no_smm", 2),
        (WHOLE, "no_stats", 1),
    ]
    assert [(each.claim, each.tests) for each in declared.failures] == [(BAD, (f"{BAD}.t0",))]


@pytest.mark.parametrize(
    ("claim", "words", "kind"),
    [
        (HELD, "no_smm", "not tested"),
        (HELD, "failed", "fails"),
        (HELD, "error", "no verdict"),
        (HELD, "missed", "cut"),
        (PART, "passed no_smm no_stats", "skips"),
        (PART, "no_smm no_smm no_smm", "not tested"),
        (BAD, "failed failed", "fails"),
        (BAD, "passed passed", "stale"),
        (WHOLE, "passed", "stale"),
    ],
)
def test_what_is_otherwise(file: Path, claim: str, words: str, kind: str) -> None:
    found = changed(file, suite({**HOST, claim: words}))
    assert found == [(kind, "" if kind == "cut" else claim)]


@pytest.mark.parametrize("words", ["passed passed no_smm", "passed has_capability no_smm"])
def test_fewer_skips_than_declared_are_as_declared(file: Path, words: str) -> None:
    assert changed(file, suite({**HOST, PART: words})) == []


def test_what_was_not_chosen_or_cut_is_not_stale(file: Path) -> None:
    assert changed(file, suite({HELD: "passed"})) == []
    kinds = [kind for kind, _ in changed(file, suite({**HOST, WHOLE: "passed missed"}))]
    assert kinds == ["cut"]


def test_what_comes_and_goes_needs_no_declaration(tmp_path: Path) -> None:
    """But for a claim of which nothing was tested."""
    path = tmp_path / "b.toml"
    chance = suite({HELD: "passed busy_host", PART: "repeated_interrupt"})
    path.write_text(baselines.written([chance]))
    assert [each.claim for each in baselines.read(path).skips] == [PART]
    assert changed(path, chance) == []
    assert changed(path, suite({HELD: "passed", PART: "passed"})) == []
    assert changed(path, suite({HELD: "busy_host", PART: "passed"})) == [("not tested", HELD)]


def test_patterns_and_any_number(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text(
        '[[skip]]\nclaim = "states.*"\nreason = "no_smm"\n[[failure]]\nclaim = "preset.*"\n'
    )
    many = suite({PART: "no_smm no_smm", "states.nested": "no_smm passed", HELD: "failed failed"})
    assert changed(path, many) == []
    # Of the whole claim: while one of its tests fails, it fails as declared.
    assert changed(path, suite({PART: "no_smm", HELD: "failed passed"})) == []
    assert changed(path, suite({PART: "passed", HELD: "passed"})) == [
        ("stale", "states.*"),
        ("stale", "preset.*"),
    ]


def test_of_a_matrix_each_kernel_has_entries_of_its_own(tmp_path: Path) -> None:
    kernels = [suite({PART: "no_smm"}, "k6_1"), suite({PART: "failed"}, "k6_12")]
    path = tmp_path / "b.toml"
    path.write_text(baselines.written(kernels))
    assert changed(path, *kernels) == []
    turned = [suite({PART: "failed"}, "k6_1"), suite({PART: "no_smm"}, "k6_12")]
    assert changed(path, *turned) == [
        ("fails", f"k6_1, {PART}"),
        ("not tested", f"k6_12, {PART}"),
        ("stale", f"k6_1, {PART}"),
    ]


def test_a_file_that_declares_nothing_expects_everything(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text("")
    assert changed(path, suite({HELD: "passed", PART: "no_smm"})) == [("not tested", PART)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[skip", "it is no TOML"),
        ("[[skips]]", "unknown key 'skips'.*a baseline has"),
        ('[[skip]]\nclaim = "preset.repeats"', "skip 1: .*it needs claim and reason"),
        ('[[skip]]\nclaim = "preset.repeat"\nreason = "no_smm"', "'preset.repeat' is no claim"),
        ('[[skip]]\nclaim = "x.*"\nreason = "no_smm"', "no pattern of any"),
        ('[[skip]]\nclaim = "states.*"\nreason = "no_such"', "skip 1: unknown reason 'no_such'"),
        ('[[skip]]\nclaim = "states.*"\nreason = "no_smm"\nmost = -1', "'most' is a number"),
        ('[[skip]]\nclaim = "states.*"\nreason = "no_smm"\nmost = true', "skip 1"),
        ('[[failure]]\nclaim = "states.*"\ntests = ["a b"]', "failure 1: 'tests' lists result ids"),
        ('[[failure]]\nclaim = "states.*"\ntests = []', "failure 1: 'tests' lists none"),
        ('[[failure]]\nclaim = "states.*"\n' * 2, "failure 2 declares the same as .* number 1"),
        ('[[skip]]\nclaim = "states.*"\nreason = "no_smm"\n' * 2, "skip 2 declares the same"),
    ],
)
def test_what_is_no_baseline(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "b.toml"
    path.write_text(text)
    with pytest.raises(BaselineError, match=rf"b\.toml: .*{why}"):
        baselines.read(path)


def test_a_baseline_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", Path("/dev/zero")):
        with pytest.raises(BaselineError, match="cannot be read"):
            baselines.read(path)


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({HELD: "passed missed"}, f"{HELD}.t1 came to no verdict"),
        ({HELD: "passed error"}, f"{HELD}.t1 came to no verdict"),
        ({'x"\n[[skip]]': "no_smm"}, "none of the claims here"),
        ({HELD: "no_such_word"}, "no word for a skip here"),
    ],
)
def test_results_of_which_none_is_made(claims: dict[str, str], why: str) -> None:
    with pytest.raises(BaselineError, match=why):
        baselines.written([suite(claims)])


def test_a_kernel_cannot_write_into_its_baseline(tmp_path: Path) -> None:
    """Its name stands in a comment, which is one line."""
    path = tmp_path / "b.toml"
    odd = '6.1\n[[failure]]\nclaim = "*"\n\x1b[31m'
    path.write_text(baselines.written([suite({HELD: "passed"}, kernel=odd)]))
    assert baselines.read(path).failures == ()
