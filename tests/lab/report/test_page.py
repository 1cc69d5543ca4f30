# SPDX-License-Identifier: GPL-2.0-only
"""A report's page, by a strict parser of HTML: totals, links, and nothing that others wrote."""

from __future__ import annotations

import base64
import itertools
import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from harness.claims import catalogue
from harness.reporting import journal
from harness.reporting.results import TestOutcome
from harness.reporting.verdict_text import SEQUENCE
from lab.report import page
from lab.results import folder
from lab.results.found import FoundClaim, FoundSuite, FoundTest, Status
from lab.sweep.found import CLAIM as EVERY
from lab.sweep.kicks import Symbols
from tests.lab.report import results
from tests.lab.results.journals import KINDS, found
from tests.lab.sweep.test_verdict import KERNEL, control, judged

justhtml = pytest.importorskip("justhtml")

EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


class Parsed:
    """The page as its elements. The parser refuses what breaks HTML's rules."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.root = justhtml.JustHTML(text, strict=True, sanitize=False).root

    def all(self, selector: str) -> list[Any]:
        return list(self.root.query(selector))

    def one(self, selector: str) -> Any:
        (element,) = self.all(selector)
        return element

    def words(self, selector: str) -> list[str]:
        return [words(each) for each in self.all(selector)]


def words(element: Any) -> str:
    return " ".join(element.to_text().split())


def of(*suites: FoundSuite) -> Parsed:
    return Parsed(page.render(suites))


def of_folders(*places: Path) -> Parsed:
    return of(*folder.read_all(places, catalogue()))


# ---- what it says


@EVERY_KIND
def test_totals_are_the_journals(kind: str, tmp_path: Path) -> None:
    suite = found(kind, tmp_path)
    counts = suite.counts()
    read = of(suite)
    told = ", ".join(f"{counts[each]} {each.value}" for each in Status if counts[each])
    assert read.words(".verdicts tbody td")[1] == told
    outcomes = [words(row.query("td")[0]) for row in read.all("details.bulk tbody tr")]
    rows = Counter(each.split()[0] for each in outcomes)
    assert rows == {each.value: counts[each] for each in Status if counts[each]}


@EVERY_KIND
def test_the_verdict_comes_first_and_is_the_terminals(kind: str, tmp_path: Path) -> None:
    suite = found(kind, tmp_path)
    word, sentence = suite.verdict.split(". ", 1)
    assert of(suite).words(".verdicts tbody td")[0] == f"{word} {sentence}"
    assert {"sound": "held", "broken": "FAILED", "cut": "FAILED", "lost": "none"}[kind] == word


def test_a_run_that_was_cut_is_no_whole_one(tmp_path: Path) -> None:
    read = of(found("cut", tmp_path))
    assert "The run ended early: 12 of 24 tests ran." in read.words("#verdict")[0]
    unjudged = read.words("#unjudged")[0]
    assert "its run ended in the middle of it" in unjudged
    assert "its run ended before its turn" in unjudged
    assert "not run" in read.words("table.matrix .word")


def test_a_lost_run_says_nothing_about_the_kernel(tmp_path: Path) -> None:
    read = of(found("lost", tmp_path))
    assert read.words(".lead") == ["This run came to no verdict."]
    assert not read.all("#failures")
    assert set(read.words("table.matrix .word")) == {"not run"}


def test_a_failure_has_its_sentence_meaning_source_and_evidence(tmp_path: Path) -> None:
    read = of_folders(results.raced(tmp_path / "run"))
    failure = words(read.one("#failures article"))
    claim = catalogue()["races.handler_writes"]
    for said in (claim.sentence, claim.meaning, claim.source, "lost: 6 of 500 kicks were lost"):
        assert said in failure
    assert "UnmetError" in words(read.one("#failures pre"))
    assert "latency_p99_ns 536870912" in failure
    assert "BUG: unable to handle page fault" in read.words("#runs pre")[0]


def test_a_known_bug_is_named(tmp_path: Path) -> None:
    failed = results.result(
        "vcpu_states.entry_pending", "states.nested", TestOutcome.FAILED, message="it has 0x101"
    )
    read = of_folders(results.write(tmp_path / "run", [failed], {"kernel": "5.10.0-46-amd64"}))
    assert "known bug of Linux 5.8 to 5.10" in words(read.one("#failures article"))


def test_what_can_be_reproduced_is_there_as_c(tmp_path: Path) -> None:
    from tests.lab.reproduction.test_reproduce import IMMEDIATE, sequence

    failed = results.result(
        *("explored.sequence_1", "explored.sequences", TestOutcome.FAILED),
        message="preset.returns_eintr does not hold: it returned 0",
        properties={SEQUENCE: json.dumps(sequence(IMMEDIATE))},
    )
    read = of_folders(results.write(tmp_path / "run", [failed]))
    (program,) = [each for each in read.words("#failures pre") if "int main(void)" in each]
    assert "reproduce RESULTS --number 1" in words(read.one("#failures"))
    assert "#include <linux/kvm.h>" in program


def test_mutants_have_no_verdict_on_a_kernel() -> None:
    tests = (FoundTest("preset_returns_zero", Status.FAILED, message="survived: nothing failed"),)
    read = of(FoundSuite("mutants.6_1", (FoundClaim("preset", "", tests),), {"kernel": "6.1"}))
    assert read.words(".lead") == ["6.1: 1 failed"]
    assert "survived: nothing failed" in words(read.one("#failures"))


# ---- several runs


def test_kernels_stand_in_their_order(tmp_path: Path) -> None:
    places = [results.raced(tmp_path / name, name) for name in ("6.12.1", "6.2.0", "5.10.0")]
    read = of_folders(*places)
    assert [each[:6].strip() for each in read.words("table.matrix thead th a")] == [
        "5.10.0", "6.2.0", "6.12.1",
    ]  # fmt: skip
    assert read.words(".lead") == ["Of 3 runs 3 FAILED."]
    assert not read.all("#history")


def test_what_changed_on_a_kernel_is_told(tmp_path: Path) -> None:
    claim = "preset.repeats"
    for number, outcome in enumerate((TestOutcome.PASSED, TestOutcome.FAILED), start=1):
        tests = [
            results.result("a.b", claim, outcome, message="m"),
            results.result("a.c", "preset.fast", TestOutcome.PASSED),
        ]
        place = results.write(tmp_path / f"day{number}", tests)
        text = (place / journal.NAME).read_text()
        text = re.sub(r'"time": "[^"]*"', f'"time": "2026-11-0{number}T10:00:00Z"', text)
        (place / journal.NAME).write_text(text)
    read = of_folders(tmp_path / "day2", tmp_path / "day1")
    (row,) = read.all("#history tbody tr")
    assert words(row).startswith("preset.repeats held FAILED 6.1.0 (day1) 2026-11-01 10:00 and")
    assert words(row).endswith("6.1.0 (day2) 2026-11-02 10:00")


def test_runs_without_a_change_say_so(tmp_path: Path) -> None:
    read = of_folders(results.raced(tmp_path / "a"), results.raced(tmp_path / "b"))
    assert "None: each claim is as it was before." in words(read.one("#history"))


# ---- pictures


def test_races_are_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    read = of_folders(results.raced(tmp_path / "run"))
    address = read.one("figure img").attrs["src"]
    kind, _, data = address.partition(",")
    assert kind == "data:image/svg+xml;base64"
    drawn = ElementTree.fromstring(base64.b64decode(data))
    text = " ".join(drawn.itertext())
    assert "races.spins.long (6 lost)" in text
    assert "in the window" in text


def test_without_matplotlib_a_table_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    read = of_folders(results.raced(tmp_path / "run"))
    assert not read.all("img")
    run = words(read.one("#runs"))
    assert "The table stands in the picture's place: matplotlib is missing" in run
    assert "races.spins.long 500 6 0.0235 1 158 11 330 0 524 µs 537 ms" in run


@pytest.mark.parametrize("damage", [{"kicks": -1}, {"landed_in_guest": 10**400}, {"lost": "many"}])
def test_damaged_numbers_are_no_race(damage: dict[str, Any], tmp_path: Path) -> None:
    test = results.result(
        "a.b", "races.window", TestOutcome.PASSED, properties={**results.RACE, **damage}
    )
    assert not of_folders(results.write(tmp_path / "run", [test])).all("figure, .wide caption")


def swept(folder: Path) -> Path:
    """The folder of a sweep that held."""
    folder.mkdir()
    path = folder / "symbols"
    path.write_text(f"{KERNEL:x} T entry\n{KERNEL + 5000:x} t left [kvm]\n")
    (folder / "sweep.json").write_text(judged(Symbols(path), control).as_json())
    return folder


def test_a_sweep_has_its_landing_map(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    read = of_folders(swept(tmp_path / "sweep"))
    drawn = base64.b64decode(read.one("figure img").attrs["src"].partition(",")[2])
    assert "taken later" in " ".join(ElementTree.fromstring(drawn).itertext())
    assert read.words("table.matrix tbody tr") == ["Races: no kick is ever lost", f"{EVERY} held"]
    assert "a kick was taken at" in words(read.one("#runs"))
    assert read.words(".verdicts tbody td")[0].startswith("held On a kernel no kick waited")


@pytest.mark.parametrize("damage", ["{}", "[", '"position": 99999999999'])
def test_a_damaged_sweep_is_a_sentence(damage: str, tmp_path: Path) -> None:
    place = swept(tmp_path / "sweep") / "sweep.json"
    text = re.sub(r'"position": -?\d+', damage, place.read_text()) if ":" in damage else damage
    place.write_text(text)
    with pytest.raises(folder.NoResultsError, match="is no sweep: "):
        folder.read(place.parent, catalogue())


# ---- untrusted

#: What the page is made of; nothing that runs, loads or sends.
_ELEMENTS = {
    *("html", "head", "meta", "title", "style", "body", "header", "nav", "main", "section"),
    *("article", "footer", "h1", "h2", "h3", "h4", "p", "div", "span", "a", "ul", "li", "dl"),
    *("dt", "dd", "table", "caption", "thead", "tbody", "tr", "th", "td", "details", "summary"),
    *("pre", "code", "figure", "img"),
}
_ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "href", "id", "role", "src"),
    *("aria-label", "aria-labelledby", "tabindex", "scope", "colspan", "alt", "open"),
}


@pytest.fixture
def hostile(tmp_path: Path) -> Parsed:
    return of_folders(results.hostile(tmp_path / "run"))


def test_nothing_of_others_is_markup(hostile: Parsed) -> None:
    elements = [each for each in hostile.all("*") if not each.name.startswith("#")]
    assert {each.name for each in elements} <= _ELEMENTS
    assert {name for each in elements for name in each.attrs} <= _ATTRIBUTES
    for each in elements:
        assert re.fullmatch(r"#[\w.-]+", each.attrs.get("href", "#x"))
        assert each.attrs.get("src", "data:image/svg+xml;base64,").startswith("data:image/svg+xml;")
    assert len(hostile.all("style")) == 1
    assert "<script>alert(1)</script>" in words(hostile.one("#failures"))
    assert "{{ 7*191 }}" in words(hostile.one("#failures"))


def test_it_holds_no_control_characters(hostile: Parsed) -> None:
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ufdd0\ufffe\U0001fffe]", hostile.text)
    assert not re.search("[\ud800-\udfff]", hostile.text)


def test_a_browser_is_told_to_run_and_fetch_nothing(hostile: Parsed) -> None:
    policy = hostile.one('meta[http-equiv="Content-Security-Policy"]').attrs["content"]
    assert policy.split("; ")[:3] == [
        "default-src 'none'", "style-src 'unsafe-inline'", "img-src data:",
    ]  # fmt: skip
    assert "url(" not in hostile.text
    assert "@import" not in hostile.text


def test_links_lead_somewhere(hostile: Parsed, tmp_path: Path) -> None:
    cut = of(found("cut", tmp_path))
    for read in (hostile, cut, of_folders(results.raced(tmp_path / "a"), tmp_path / "a")):
        ids = Counter(each.attrs["id"] for each in read.all("[id]"))
        assert max(ids.values()) == 1, ids.most_common(1)
        links = {each.attrs["href"].removeprefix("#") for each in read.all("a")}
        assert links - set(ids) == set()
        labels = {each.attrs["aria-labelledby"] for each in read.all("[aria-labelledby]")}
        assert labels - set(ids) == set()


def test_headings_go_down_step_by_step(hostile: Parsed) -> None:
    levels = [int(each.name[1]) for each in hostile.all("h1, h2, h3, h4")]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_long_texts_are_cut(hostile: Parsed) -> None:
    assert len(hostile.text) < 400_000
    assert "[... cut ...]" in hostile.text


def test_twenty_thousand_tests_give_a_page_that_opens(tmp_path: Path) -> None:
    suites = folder.read(results.many(tmp_path / "run", 20_000), catalogue())
    text = page.render(suites)
    assert len(text) < 4_000_000
    assert "16,000 passed, 4,000 failed" in text
    assert "15,000 more are left out" in text
    assert text.count("<details") < 500


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    place = results.raced(tmp_path / "run")
    (place / "kernel.log").unlink()
    (place / "kernel.log").mkdir()
    assert "kernel.log cannot be read: it is a folder" in words(of_folders(place).one("#runs"))


def test_a_journal_by_another_name_has_no_folder(tmp_path: Path) -> None:
    place = results.raced(tmp_path / "run") / "journal.jsonl"
    kept = place.rename(tmp_path / "kept.jsonl")
    (tmp_path / "kernel.log").write_text("of another run")
    read = of_folders(kept)
    assert "cannot be read" not in words(read.one("#runs"))
    assert "of another run" not in read.text
