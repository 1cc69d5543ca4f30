# SPDX-License-Identifier: GPL-2.0-only
"""The parts of harness.reporting that need no pytest run: names, choice, journal, verdict."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from harness.claims import catalogue, chapters, known_issues
from harness.host import features
from harness.reporting import environment, identity, journal, verdict, verdict_text
from harness.reporting.results import Result, TestOutcome, shorten, split_skip
from harness.reporting.selection import SelectionError, select

HOST = {"kernel": "6.99.0", "architecture": "x86_64", "backend": "kvm_pvm", "tier": "hardware"}


def result(name: str, claim: str, outcome: TestOutcome, **more: object) -> Result:
    empty = Result(name, claim, outcome, "call", "", "", "", 0.1, "", "2026-01-01T00:00:00.000Z")
    return dataclasses.replace(empty, **more)


@pytest.mark.parametrize(
    ("nodeid", "name"),
    [
        ("suites/preset/test_a.py::test_first", "preset.first"),
        (
            "suites/preset/x86_64/test_a.py::test_first[real-Long Mode]",
            "preset.first.real_long_mode",
        ),
        ("suites/preset/test_a.py::TestMore::test_first[a::b/c]", "preset.first.a_b_c"),
        ("suites/preset/test_a.py::test_first[real]@group", "preset.first.real"),
        ("suites/preset/test_a.py::test_first@group", "preset.first"),
    ],
)
def test_result_id(nodeid: str, name: str) -> None:
    assert identity.result_id(nodeid) == name


@pytest.mark.parametrize(
    "nodeid",
    [
        "suites/preset/test_a.py::test_first[255]",
        "suites/preset/test_a.py::test_1",
        "suites/preset/test_a.py::test_first[-]",
        "suites/test_a.py::test_first",
        "suites/Preset/test_a.py::test_first",
    ],
)
def test_result_id_refused(nodeid: str) -> None:
    with pytest.raises(identity.IdentityError):
        identity.result_id(nodeid)


def chosen(*claims: str, suites: tuple[str, ...] = ()) -> frozenset[str]:
    return select(catalogue(), chapters(), wanted_claims=claims, wanted_suites=suites).claims


def test_selection() -> None:
    assert chosen() == frozenset(catalogue())
    assert chosen("preset.repeats") == {"preset.repeats"}
    assert chosen("vcpu_states") == chosen("states") == chosen(suites=("vcpu_states",))
    assert chosen("completion.*msr") == {"completion.msr", "completion.failed_msr"}
    assert chosen("*.halted", suites=("vcpu_states",)) == {"states.halted"}


@pytest.mark.parametrize(
    ("claim", "suite", "why"),
    [
        ("preset.repeat", "", "preset.repeats"),
        ("nonsense*", "", "unknown claim"),
        ("preset", "signal", "Close: signals"),
        ("preset", "signals", "no claim is left"),
    ],
)
def test_selection_refused(claim: str, suite: str, why: str) -> None:
    with pytest.raises(SelectionError, match=why.replace("*", ".")):
        chosen(claim, suites=(suite,) if suite else ())


def test_skip_reasons() -> None:
    assert split_skip("Skipped: no_kvm: there is no /dev/kvm") == ("no_kvm", "there is no /dev/kvm")
    assert split_skip("Skipped: because") == ("unstated", "because")
    assert len(shorten("x" * 100_000)) <= 16384


@dataclasses.dataclass(frozen=True)
class Described:
    kernel: str = "6.99"
    nested: bool = True
    cpus: int = 2
    qemu: None = None


def test_environment_is_flat_text() -> None:
    assert environment.flatten(Described()) == {"kernel": "6.99", "nested": "yes", "cpus": "2"}
    with pytest.raises(TypeError):
        environment.flatten(["kernel"])


# ---- journal


def write_journal(path: Path) -> None:
    with journal.Writer(path) as writer:
        writer.session(HOST)
        writer.planned({"preset.a": "preset.repeats", "preset.b": "preset.repeats"})
        writer.start("preset.a")
        writer.result(
            result("preset.a", "preset.repeats", TestOutcome.FAILED, message="ä\udc80\n\x1b")
        )
        writer.start("preset.b")
        writer.result(result("preset.b", "preset.repeats", TestOutcome.PASSED))
        writer.end(1)


def test_a_journal_comes_back_as_written(tmp_path: Path) -> None:
    write_journal(tmp_path / "j")
    read = journal.read(tmp_path / "j")
    assert read.environment == HOST
    assert read.exit_status == 1
    assert not read.unfinished
    assert not read.not_run
    assert [r.outcome for r in read.results] == [TestOutcome.FAILED, TestOutcome.PASSED]
    assert read.results[0].message == "ä\ufffd\n", "what a terminal would obey is left out"


def test_a_journal_cut_at_any_byte_is_readable(tmp_path: Path) -> None:
    write_journal(tmp_path / "j")
    whole = (tmp_path / "j").read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut").write_bytes(whole[:length])
        read = journal.read(tmp_path / "cut")
        assert len(read.results) == whole[:length].count(b'"result"') - (
            b'"result"' in whole[:length].rpartition(b"\n")[2]
        )
        assert read.exit_status is None


def test_going_on_with_a_torn_journal(tmp_path: Path) -> None:
    write_journal(tmp_path / "j")
    os.truncate(tmp_path / "j", (tmp_path / "j").stat().st_size - 5)
    with journal.Writer(tmp_path / "j", fresh=False) as writer:
        writer.end(7)
    assert journal.read(tmp_path / "j").exit_status == 7


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "line 1"),
        ("[]", "line 1"),
        ('{"event": "result", "outcome": "lost"}', "line 1"),
        ('{"event": "session", "version": 9, "environment": {}}', "version 9"),
    ],
)
def test_what_is_no_journal_is_refused(tmp_path: Path, line: str, why: str) -> None:
    (tmp_path / "j").write_text(line + "\n")
    with pytest.raises(journal.JournalError, match=why):
        journal.read(tmp_path / "j")


# ---- verdict


def told(*results: Result, planned: dict[str, str] | None = None, **more: object) -> str:
    findings = verdict.judge(
        results, planned=planned or {r.id: r.claim for r in results}, claims=catalogue()
    )
    lines = verdict_text.render(
        findings, **{"environment": HOST, **more}, claims=catalogue(), chapters=chapters()
    )
    return "\n".join(line.text for line in lines)


PASS = result("preset.a", "preset.repeats", TestOutcome.PASSED)
SKIP = result("preset.b", "preset.repeats", TestOutcome.SKIPPED, reason="no_smm", message="no mode")
FAIL = result("preset.c", "preset.fast", TestOutcome.FAILED, message="KVM_RUN returned 0")


def test_verdict_held() -> None:
    assert "VERDICT     held. The one claim that could be tested holds" in told(PASS)


def test_verdict_of_a_run_that_did_not_end_as_it_must() -> None:
    """A machine that panics behind its last test, say: what ran is good, and the run is not."""
    assert "VERDICT     none. What ran held, but the run" in told(PASS, in_order=False)
    assert told(FAIL, in_order=False) == told(FAIL)


def test_verdict_tells_that_the_kernels_log_was_not_watched() -> None:
    unwatched = dataclasses.replace(PASS, properties={"kernel_log_incomplete": "no permission"})
    text = " ".join(told(unwatched, FAIL).split())
    assert "log the kernel's was not watched whole in 1 test: no permission" in text
    assert "was not watched" not in told(PASS, FAIL)


def test_verdict_failed_says_what_it_means() -> None:
    text = told(PASS, FAIL)
    assert "FAILED      preset.fast (1 of 1 test)" in text
    assert " ".join(text.split()).count(catalogue()["preset.fast"].meaning) == 1
    assert "preset.c: KVM_RUN returned 0" in text
    assert "FAILED. 1 of 2 claims tested does not hold" in text


def test_verdict_says_how_to_make_a_program_of_a_sequence() -> None:
    command = "kvm-conformance reproduce RESULTS"
    sequence = dataclasses.replace(FAIL, properties={verdict_text.SEQUENCE: "{}"})
    assert command in " ".join(told(sequence, PASS).split())
    assert command not in told(FAIL, PASS)


def test_verdict_in_part_and_not_tested() -> None:
    assert "1 of 2 tests ran and held; no_smm (no mode)" in " ".join(told(PASS, SKIP).split())
    text = told(SKIP)
    assert "not tested  preset: repeats" in text
    assert "says nothing about the kernel" in " ".join(text.split())


def test_a_claim_about_other_kernels_is_not_one_that_could_not_be_tested() -> None:
    absent = result(
        "absent.a",
        "absent.ignored",
        TestOutcome.SKIPPED,
        reason="has_capability",
        message="it has it",
    )
    tested = result("preset.a", "preset.repeats", TestOutcome.PASSED)
    assert "could not be tested." not in " ".join(told(tested, absent).split())
    assert "n/a         absent: ignored" in told(tested, absent)
    no_smm = result(
        "preset.b", "preset.per_vcpu", TestOutcome.SKIPPED, reason="no_smm", message="none"
    )
    assert "1 claim could not be tested." in " ".join(told(tested, absent, no_smm).split())


def test_a_known_bug_of_the_kernel_is_named() -> None:
    """With its commit, and only where it explains every failure."""
    host = {**HOST, "kernel": "6.12.95+deb13-amd64"}
    bug = known_issues.of_version("6.12")[0]
    known = result(bug.tests[0], "states.precedence", TestOutcome.FAILED)
    text = " ".join(told(known, environment=host).split())
    assert f"does not hold on this kernel, by a known bug of it ({bug.commit})." in text
    assert f"a known bug of Linux 6.10 to 6.17, brought by commit {bug.commit}: KVM_RUN" in text
    other = result("preset.a", "preset.repeats", TestOutcome.FAILED)
    assert "by a known bug" not in told(known, other, environment=host)
    assert "known bug" not in told(known)


def test_a_test_for_another_architecture_takes_nothing_from_a_claim() -> None:
    elsewhere = dataclasses.replace(SKIP, reason="other_architecture")
    assert "VERDICT     held." in told(PASS, elsewhere)
    assert "in part" not in told(PASS, elsewhere)


def test_verdict_of_a_run_that_ended_early() -> None:
    text = told(PASS, planned={"preset.a": "preset.repeats", "preset.z": "preset.fast"})
    assert "incomplete. 1 claim held so far." in " ".join(text.split())


def test_verdict_of_a_broken_suite() -> None:
    error = result("preset.e", "preset.fast", TestOutcome.ERROR, message="OSError: eek")
    text = " ".join(told(PASS, error).split())
    assert "VERDICT none. 1 claim held. Some tests came to no verdict" in text


@pytest.mark.parametrize("word", sorted(features.OF_THE_WHOLE_HOST))
def test_a_test_that_ran_contradicts_a_host_that_cannot(word: str) -> None:
    alone = result("preset.e", "preset.fast", TestOutcome.SKIPPED, reason=word, message="EIO")
    assert "preset: fast" in told(alone)
    assert "Nothing could be tested" in " ".join(told(alone).split())
    text = " ".join(told(PASS, alone).split())
    assert "preset.e: other tests ran, but here: EIO" in text
    assert "VERDICT none. 1 claim held. Some tests came to no verdict" in text
    failed = dataclasses.replace(FAIL, claim="preset.repeats")
    assert "preset.e: other tests ran" in " ".join(told(failed, alone).split())


@pytest.mark.parametrize("width", [50, 80, 132])
def test_verdict_keeps_to_the_width(width: int) -> None:
    text = told(PASS, SKIP, FAIL, width=width, absent=True, architecture="x86_64")
    assert max(map(len, text.splitlines())) < width
    assert "elsewhere   races: every_instruction, by" in text
