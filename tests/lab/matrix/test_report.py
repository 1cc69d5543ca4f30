# SPDX-License-Identifier: GPL-2.0-only
"""What a matrix shows: the table at any width, Markdown, and one JUnit file that hides nothing."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest

from harness.claims import catalogue, chapters
from harness.reporting import journal
from harness.reporting.results import Result, TestOutcome
from lab.campaign.side_by_side import Stage
from lab.matrix import found as matrix_found
from lab.matrix import result as matrix_result
from lab.matrix.kernel_list import ListedKernel
from lab.matrix.runs import KernelTask
from lab.results import junit
from lab.results.found import of_journal
from tools.screen import matrix_table

CLAIMS = [name for name, claim in catalogue().items() if claim.applies_to("x86_64")]


def result(claim: str, outcome: TestOutcome = TestOutcome.PASSED, **fields: str) -> Result:
    """A result of the claim's one test."""
    known = {"reason": "", "message": "", "detail": "", **fields}
    return Result(claim, claim, outcome, "call", duration_s=0.0, worker="", time="", **known)


def run(
    folder: Path,
    kernel: str,
    *results: Result,
    code: int | None = 0,
    planned: list[str] | None = None,
    end: int | None = 0,
    stage: Stage = Stage.ENDED,
    release: str = "6.1.0-56-amd64",
    name: str = "",
    why: str = "",
) -> KernelTask:
    """A run that is over. Without `planned` its machine was lost before it had a journal."""
    made = KernelTask(
        folder / re.sub(r"\W", "_", kernel), {}, stage, entry=ListedKernel(kernel, name)
    )
    made.folder.mkdir()
    made.code, made.why, made.found, made.seconds = code, why, {"release": release}, 58.4
    if release:
        made.started = "2026-01-02T03:04:05.678Z"
    if planned is not None:
        with journal.Writer(made.folder / journal.NAME) as writer:
            writer.session({"kernel": release, "tier": "emulated"})
            told = {result.id: result.claim for result in results}
            writer.planned({name: name for name in planned} | told)
            for result in results:
                writer.result(result)
            if end is not None:
                writer.end(end)
    return made


def under(made: KernelTask, words: str, in_force: str) -> KernelTask:
    """The same run, asked for with these parameters, and with those in force."""
    made.entry = dataclasses.replace(made.entry, kernel_parameters=words)
    path = made.folder / journal.NAME
    path.write_text(path.read_text().replace('"tier"', f'"parameters": "{in_force}", "tier"'))
    return made


def judged(*runs: KernelTask) -> matrix_result.Matrix:
    return matrix_result.of_runs(runs, catalogue(), chapters(), "x86_64")


def eight(folder: Path) -> matrix_result.Matrix:
    """The default list's kernels with every claim, and every word of the legend but `unset`."""
    held = [result(claim) for claim in CLAIMS]
    failed = [result(CLAIMS[0], TestOutcome.FAILED, message="no EINTR"), *held[1:]]
    skipped = result(CLAIMS[1], TestOutcome.SKIPPED, reason="no_smm", message="no SMM")
    about_others = result(CLAIMS[5], TestOutcome.SKIPPED, reason="has_capability", message="it has")
    broken = result(CLAIMS[2], TestOutcome.ERROR, message="no memory")
    other = dataclasses.replace(skipped, id=f"{CLAIMS[3]}.other", claim=CLAIMS[3])
    lost = "the machine hung: no sign of life for 240 s"
    return judged(
        run(folder, "debian:bullseye", *held, planned=CLAIMS, release="5.10.0-46-amd64"),
        run(folder, "debian:bookworm", *failed, planned=CLAIMS, code=1, end=1),
        run(folder, "debian:bookworm/rt", skipped, broken, *held[3:5], about_others, *held[6:],
            held[0], other, planned=CLAIMS, code=70, end=1, release="6.1.0-56-rt-amd64"),
        run(folder, "debian:trixie", *held[:9], planned=CLAIMS, code=71, end=None, why=lost,
            release="6.12.117+deb13-amd64"),
        run(folder, "debian:trixie/rt", code=71, why=lost, release="6.12.117+deb13-rt-amd64"),
        run(folder, "debian:trixie-backports", *held[:5], planned=CLAIMS, code=None, end=None,
            stage=Stage.STOPPED, release="7.3.4+deb13-amd64"),
        run(folder, "debian:sid", code=70, stage=Stage.ABSENT, release="",
            why="debian:sid: the archive does not answer " + "and so on " * 20),
        run(folder, "debian:sid/rt", code=None, stage=Stage.STOPPED, release=""),
    )  # fmt: skip


@pytest.mark.parametrize("width", [40, 80, 100, 160])
def test_the_table_fits_and_cuts_nothing(tmp_path: Path, width: int) -> None:
    drawn = click.unstyle(matrix_table.terminal(eight(tmp_path), width))
    assert max(map(len, drawn.splitlines())) <= min(width, 100)
    heads = {"5.10", "6.1", "6.1-rt", "6.12", "6.12-rt", "7.3", "sid", "sid/rt"}
    tables = re.split(r"\n\n", drawn)
    lines = [table.splitlines()[0].split() for table in tables if table.startswith(" ")]
    assert [head for line in lines for head in line] == [
        *("5.10", "6.1", "6.1-rt", "6.12", "6.12-rt", "7.3", "sid", "sid/rt")
    ]
    assert len(lines) == {40: 4, 80: 1, 100: 1, 160: 1}[width]
    for claim in CLAIMS:
        row = rf"^  {claim.partition('.')[2]}(?: |$)"
        same = [other for other in CLAIMS if other.partition(".")[2] == claim.partition(".")[2]]
        assert len(re.findall(row, drawn, re.MULTILINE)) == len(lines) * len(same)
    for head in heads:
        assert re.search(rf"^{head} +debian:", drawn, re.MULTILINE), "each head is explained"
    for word in set(matrix_result.LEGEND) - {"unset"}:
        assert re.search(rf"^{word} +\w", drawn, re.MULTILINE), "each word is explained"
    assert "MATRIX FAILED. Of 8 kernels" in drawn


def test_the_words(tmp_path: Path) -> None:
    found = eight(tmp_path)
    words = {column.head: [column.word(name) for name in CLAIMS] for column in found.columns}
    assert set(words["5.10"]) == {"held"}
    assert words["6.1"][:2] == ["FAIL", "held"]
    assert words["6.1-rt"][:4] == ["held", "-", "error", "part"]
    assert words["6.1-rt"][4:7] == ["held", "n/a", "held"]
    assert words["6.12"][8:10] == ["held", "lost"]
    assert set(words["6.12-rt"]) == {"lost"}, "also without a plan"
    assert words["7.3"][4:6] == ["held", "cut"]
    assert set(words["sid"]) == {""}
    verdicts = [column.verdict for column in found.columns]
    assert verdicts == ["held", "FAIL", "error", "lost", "lost", "cut", "absent", "cut"]
    assert found.code == 1


def test_a_claim_that_held_until_the_machine_was_lost_is_lost(tmp_path: Path) -> None:
    first = run(tmp_path, "a", result("preset.repeats"), planned=["preset.repeats"], code=71)
    path = first.folder / journal.NAME
    path.write_text("")
    with journal.Writer(path) as writer:
        writer.session({})
        writer.planned({"preset.one": "preset.repeats", "preset.two": "preset.repeats"})
        writer.result(
            Result("preset.one", "preset.repeats", TestOutcome.PASSED, "", "", "", "", 0, "", "")
        )
    assert judged(first).columns[0].word("preset.repeats") == "lost"


def test_success_without_its_journal_is_none(tmp_path: Path) -> None:
    """A child that says 0, and left no results, or not all."""
    none = run(tmp_path, "none")
    cut = run(tmp_path, "cut", result(CLAIMS[0]), planned=CLAIMS[:2])
    for each in (none, cut):
        found = judged(each)
        assert found.code == 70
        assert not found.sentence()[1]


def test_heads() -> None:
    for release, head in {
        "6.1.0-56-rt-amd64": "6.1-rt",
        "6.12.117+deb13-cloud-amd64": "6.12-cloud",
        "7.2.0-rc1": "7.2",
        "7.2.0-rc1-artful": "7.2",
        "mine": "",
    }.items():
        assert matrix_result.short(release) == head


def test_each_head_once(tmp_path: Path) -> None:
    found = judged(run(tmp_path, "a"), run(tmp_path, "b"), run(tmp_path, "c", name="mine"))
    assert [column.head for column in found.columns] == ["6.1", "6.1/2", "mine"]


def test_why_nothing_could_be_tested(tmp_path: Path) -> None:
    skip = result("preset.repeats", TestOutcome.SKIPPED, reason="no_kvm", message="No /dev/kvm.")
    found = judged(run(tmp_path, "a", skip, planned=["preset.repeats"], code=4, end=5))
    assert found.code == 4
    assert "a, 6.1.0-56-amd64: no_kvm: No /dev/kvm." in matrix_table.terminal(found, 80)


def test_failures_are_told(tmp_path: Path) -> None:
    bad = [result(f"preset.t{n}", TestOutcome.FAILED, message=f"message {n}|") for n in range(7)]
    bad.append(result("preset.e", TestOutcome.ERROR))
    found = judged(run(tmp_path, "a", *bad, planned=[], code=1))
    drawn = click.unstyle(matrix_table.terminal(found, 80))
    assert re.findall(r"^6\.1  (.*)", drawn, re.MULTILINE)[1:] == [
        *(f"preset.t{n}: message {n}|" for n in range(5)),
        "and 3 more, see a/output.txt",
    ]
    assert "- 6.1: preset.t0: message 0\\|" in matrix_table.markdown(found)


def test_markdown(tmp_path: Path) -> None:
    found = eight(tmp_path)
    lines = matrix_table.markdown(found).splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert {line.count("|") for line in table} == {10}
    assert len(table) == 2 + len(CLAIMS) + 2
    assert f"| `{CLAIMS[0]}` | held | FAIL | held | held | lost | held |  | cut |" in table
    hostile = run(tmp_path, "x|y", stage=Stage.ABSENT, release="", why="<b>|")
    assert "&lt;b>\\|" in matrix_table.markdown(judged(hostile))


# ---- one JUnit file


def rendered(found: matrix_result.Matrix) -> str:
    """The file."""
    return junit.render(matrix_found.suites(found, catalogue()))


def parsed(found: matrix_result.Matrix) -> dict[str, ElementTree.Element]:
    """The suites by name, as a consumer reads them."""
    root = ElementTree.fromstring(rendered(found).encode())
    return {str(suite.get("name")): suite for suite in root}


def test_a_suite_a_kernel(tmp_path: Path) -> None:
    suites = parsed(eight(tmp_path))
    assert len(suites) == 8
    for suite in suites.values():
        cases = suite.findall("testcase")
        bad = [case for case in cases if case.find("error") is not None]
        failed = [case for case in cases if case.find("failure") is not None]
        assert int(suite.get("errors", "")) == len(bad)
        assert int(suite.get("failures", "")) == len(failed)
        assert int(suite.get("tests", "")) == len(cases)
        assert len(bad + failed) > 0 or suite.get("name") == "debian_bullseye"
    properties = {
        each.get("name"): each.get("value")
        for each in suites["debian_bookworm_rt"].iter("property")
    }
    assert properties["kernel"] == "6.1.0-56-rt-amd64"
    assert properties["tier"] == "emulated"
    assert properties["matrix_kernel"] == "debian:bookworm/rt"
    assert properties["matrix_verdict"] == "error"
    assert suites["debian_bullseye"].get("timestamp") == "2026-01-02T03:04:05"
    assert suites["debian_bullseye"].get("hostname")


def test_a_lost_machine_misses_no_test(tmp_path: Path) -> None:
    """Also one that was lost before it said what it would run: the others know."""
    suites = parsed(eight(tmp_path))
    for name, passed in {"debian_trixie": 9, "debian_trixie_rt": 0}.items():
        cases = suites[name].findall("testcase")
        assert sum(not list(case) for case in cases) == passed
        assert len(cases) == len(CLAIMS) + 2  # one test is known from one of the others only
        (told,) = (case for case in cases if case.get("name") == "run.whole_1")
        assert told.find("error").get("message").startswith("the machine hung")
    (absent,) = suites["debian_sid"].findall("testcase")
    assert "does not answer" in absent.find("error").get("message")


def test_lost_after_the_last_result(tmp_path: Path) -> None:
    """Every test passed, then the machine hung: still no success."""
    results = [result(claim) for claim in CLAIMS]
    lost = run(tmp_path, "a", *results, planned=CLAIMS, code=71, why="the machine hung")
    assert parsed(judged(lost))["a"].get("errors") == "1"


def test_no_two_cases_have_one_name(tmp_path: Path) -> None:
    """GitLab keeps the first of two; LKFT replaces what is no letter or digit by _."""
    twice = [result("preset.a"), result("preset_a", TestOutcome.FAILED), result("preset-a")]
    first = run(tmp_path, "a", *twice, planned=["preset.a"], code=1)
    second = run(tmp_path, "b", *twice, planned=["preset.a"], code=1)
    seen = [
        re.sub(r"\W", "_", f"{case.get('classname')}_{case.get('name')}")
        for suite in parsed(judged(first, second)).values()
        for case in suite.iter("testcase")
    ]
    assert len(seen) == len(set(seen)) == 6


def test_each_case_has_a_class_and_a_name(tmp_path: Path) -> None:
    odd = [result(name, TestOutcome.FAILED) for name in ("", "preset", "preset.", ".a", "\ufffe")]
    names = parsed(judged(run(tmp_path, "a", *odd, planned=[], code=1)))["a"].findall("testcase")
    assert len(names) == 5
    for case in names:
        assert case.get("name")
        assert case.get("classname")
        assert case.find("failure").get("message") == "failed", "else it would be a pass"


def test_text_that_xml_cannot_hold(tmp_path: Path) -> None:
    """Bytes of a console come as lone surrogates; junit-xml fails on them, or writes nonsense."""
    dirty = "esc \x1b nul \x00 half \udc80 end \ufffe <&>]]> ä"
    texts = {"reason": dirty, "message": dirty, "detail": dirty}
    results = [result(f"preset.{outcome.value}", outcome, **texts) for outcome in TestOutcome]
    made = run(tmp_path, "a", *results, planned=[], code=71, release=dirty, why=dirty)
    suite = parsed(judged(made))["a"]
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("2", "2", "1")
    assert "esc ul  half \ufffd end #xFFFE <&>]]> ä" in "".join(suite.itertext())


def test_a_file_that_consumers_take(tmp_path: Path) -> None:
    """GitLab refuses 30 MB; the failures themselves are all there."""
    text = "\x1b&" * 20_000
    runs = [
        run(
            tmp_path,
            f"k{number}",
            *(
                result(f"preset.t{n}", TestOutcome.FAILED, message=text, detail=text)
                for n in range(300)
            ),
            planned=[],
            code=1,
        )
        for number in range(4)
    ]
    drawn = rendered(judged(*runs))
    assert len(drawn.encode()) < 30e6
    assert drawn.count("<failure") == 1200
    assert "left out" in drawn


def test_an_empty_suite_is_no_success() -> None:
    assert junit.render([of_journal(journal.Journal(), {})]).count("<error") == 1


def test_a_parameter_that_is_not_in_force(tmp_path: Path) -> None:
    """The results are of another kernel than the column's head says: none of them counts."""
    failed = result(CLAIMS[0], TestOutcome.FAILED, message="no EINTR")
    found = judged(
        run(tmp_path, "one", result(CLAIMS[0]), planned=[]),
        under(
            run(tmp_path, "two", failed, planned=[], code=1, end=1),
            "kvm_amd.npt=0",
            "kvm_amd.npt=Y",
        ),
    )
    held, unset = found.columns
    assert (held.verdict, unset.verdict) == ("held", "unset")
    assert unset.word(CLAIMS[0]) == ""
    drawn = click.unstyle(matrix_table.terminal(found, 80))
    assert re.search(r"^unset +a parameter", drawn, re.MULTILINE)
    assert "kvm_amd.npt=0 is not in force: it is Y" in unset.describe()
    assert (found.code, found.sentence()[1]) == (0, True)
    assert found.sentence()[0] == (
        "MATRIX held. 1 of 2 kernels hold every claim that could be tested; 1 has not a parameter."
    )
    suite = matrix_found.suites(found, catalogue())[1]
    assert [test.message for test in suite.tests()] == [
        "nothing was judged: kvm_amd.npt=0 is not in force: it is Y"
    ]
    assert (
        judged(
            under(
                run(tmp_path, "three", failed, planned=[], code=1, end=1),
                "kvm_amd.npt=0",
                "kvm_amd.npt=N",
            )
        ).code
        == 1
    )
    assert (
        judged(under(run(tmp_path, "four", result(CLAIMS[0]), planned=[]), "preempt=lazy", "")).code
        == 4
    )


def test_claims_of_one_column_only(tmp_path: Path) -> None:
    """Rows are what any of the columns' architectures can show; in the others they are `n/a`."""
    claim = next(name for name, each in catalogue().items() if each.architectures == ("x86_64",))
    here = run(tmp_path, "debian:sid", result(claim), planned=(claim,))
    there = run(
        tmp_path,
        "debian:trixie",
        result(claim, TestOutcome.SKIPPED, reason="other_architecture", message="x86-64 only"),
        planned=(claim,),
    )
    path = there.folder / journal.NAME
    told = path.read_text()
    assert '"tier"' in told
    path.write_text(told.replace('"tier"', '"architecture": "aarch64", "tier"'))
    both = judged(here, there)
    assert [column.word(claim) for column in both.columns] == ["held", "n/a"]
    assert claim in both.claims
    there.entry = dataclasses.replace(there.entry, arch="arm64")
    assert [column.head for column in judged(here, there).columns] == ["6.1", "6.1 arm64"]
    assert "debian:trixie, 6.1.0-56-amd64, arm64" in judged(there).columns[0].describe()
    assert claim not in judged(there).claims
