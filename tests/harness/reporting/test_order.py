# SPDX-License-Identifier: GPL-2.0-only
"""--first, --sooner and --stop-after: the question first, and no test begun too late."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.reporting import journal
from lab.launch import finish
from lab.launch.exit_codes import Exit
from tests.fakes import project as fake

SUITE = """
import pytest

@pytest.mark.parametrize("turn", ["a", "b"])
@pytest.mark.claim("preset.repeats")
def test_repeats(turn):
    pass

@pytest.mark.parametrize("turn", ["a", "b"])
@pytest.mark.claim("preset.returns_eintr")
def test_returns(turn):
    pass

@pytest.mark.parametrize("turn", ["a", "b"])
@pytest.mark.claim("preset.per_vcpu")
def test_per_vcpu(turn):
    assert turn == "c", "it failed"
"""
FIRST = ("--first=preset.per_vcpu", "--first=preset.returns_eintr")


def ran(folder: Path) -> list[str]:
    return [each.id.removeprefix("preset.") for each in folder_journal(folder).results]


def folder_journal(folder: Path) -> journal.Journal:
    return journal.read(folder / journal.NAME)


def test_claims_named_first_are_tested_first_in_their_order(tmp_path: Path) -> None:
    project = fake.make(tmp_path / "p", preset=SUITE)
    fake.pytest_run(project, *FIRST, f"--results={tmp_path / 'out'}")
    assert ran(tmp_path / "out") == [
        *("per_vcpu.a", "per_vcpu.b", "returns.a", "returns.b", "repeats.a", "repeats.b")
    ]
    assert folder_journal(tmp_path / "out").left_out == 0


def test_of_one_claim_what_is_likely_to_answer_comes_sooner(tmp_path: Path) -> None:
    project = fake.make(tmp_path / "p", preset=SUITE)
    sooner = ("--sooner=preset.returns.b", "--sooner=preset.repeats.b")
    fake.pytest_run(project, *FIRST, *sooner, f"--results={tmp_path / 'out'}")
    assert ran(tmp_path / "out") == [
        *("per_vcpu.a", "per_vcpu.b", "returns.b", "returns.a", "repeats.b", "repeats.a")
    ]


@pytest.mark.parametrize("workers", ["0", "2"])
def test_when_the_time_is_over_only_open_questions_go_on(tmp_path: Path, workers: str) -> None:
    """No time at all: a claim that failed is answered, one that did not is tested to its end."""
    project = fake.make(tmp_path / "p", preset=SUITE)
    out = tmp_path / "out"
    done = fake.pytest_run(project, *FIRST, "--stop-after=0", f"--results={out}", "-n", workers)
    assert done.returncode == 1, done.stdout
    if workers == "0":
        assert ran(out) == ["per_vcpu.a", "returns.a", "returns.b"]
        assert folder_journal(out).left_out == 3
    assert not any(name.startswith("repeats") for name in ran(out))
    assert folder_journal(out).exit_status == 1


def test_a_test_that_broke_decides_nothing(tmp_path: Path) -> None:
    """Its claim's other tests go on, also when the time is over."""
    broken = SUITE.replace('assert turn == "c", "it failed"', 'assert turn != {}["no key"]')
    project = fake.make(tmp_path / "p", preset=broken)
    words = ("--first=preset.per_vcpu", "--stop-after=0", f"--results={tmp_path / 'out'}")
    fake.pytest_run(project, *words)
    assert ran(tmp_path / "out") == ["per_vcpu.a", "per_vcpu.b"]


def test_files_of_other_claims_are_not_read_where_nothing_else_has_time(tmp_path: Path) -> None:
    project = fake.make(tmp_path / "p", preset=SUITE, races="import there_is_no_such_module")
    words = ("--stop-after=0", f"--results={tmp_path / 'out'}")
    assert fake.pytest_run(project, *FIRST, *words).returncode == 1
    assert ran(tmp_path / "out") == ["per_vcpu.a", "returns.a", "returns.b"]
    done = fake.pytest_run(project, *words)
    assert done.returncode == 2, "without a question, every file is read"
    assert "there_is_no_such_module" in done.stdout


@pytest.mark.parametrize("workers", ["0", "2"])
def test_what_had_no_turn_leaves_no_verdict(tmp_path: Path, workers: str) -> None:
    """Nor does a file that is not read for that reason."""
    project = fake.make(tmp_path / "p", preset=fake.HELD, preset__b=SUITE.replace('== "c"', ""))
    words = (f"-n{workers}", "--stop-after=0", f"--results={tmp_path / 'out'}")
    done = fake.pytest_run(project, *words, "--first=preset.repeats")
    read = folder_journal(tmp_path / "out")
    assert (done.returncode, read.left_out) == (70, 4), done.stdout
    answer = {"status": 70, "stopped_by": None, "require_kvm": False}
    code, why = finish.exit_code(read, **answer)
    assert code is Exit.SUITE_ERROR
    assert why.endswith(": 4 tests had no turn in the time that was given.")
    (project / "suites/preset/test_preset_b.py").write_text(fake.FAILED.replace("0 == 4", "True"))
    done = fake.pytest_run(project, *words, "--first=preset.repeats")
    assert "1 of 2 tests was chosen" in done.stdout
    assert folder_journal(tmp_path / "out").left_out == 0
    assert done.returncode == 70, done.stdout


def test_time_enough_leaves_nothing_out(tmp_path: Path) -> None:
    project = fake.make(tmp_path / "p", preset=fake.HELD, preset__b=fake.FAILED)
    assert fake.pytest_run(project, "--stop-after=1000").returncode == 1
    done = fake.pytest_run(project, "--stop-after=1000", "--ignore=suites/preset/test_preset_b.py")
    assert "2 of 3 tests were chosen" in done.stdout
    assert done.returncode == 70, done.stdout


@pytest.mark.parametrize("word", ["--first=preset.nothing", "--stop-after=-1"])
def test_words_that_cannot_be(tmp_path: Path, word: str) -> None:
    project = fake.make(tmp_path / "p", preset=SUITE)
    done = fake.pytest_run(project, word)
    assert done.returncode == 4
    assert word.partition("=")[0] in done.stderr
    assert "Traceback" not in done.stderr
