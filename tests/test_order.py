# SPDX-License-Identifier: GPL-2.0-only
"""--first and --stop-after: the question first, and no test begun too late."""

from __future__ import annotations

from pathlib import Path

import fake_project as fake
import pytest

from harness.reporting import journal
from tools import finish
from tools.exit_codes import Exit

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


def test_files_of_other_claims_are_not_read_where_nothing_else_has_time(tmp_path: Path) -> None:
    project = fake.make(tmp_path / "p", preset=SUITE, races="import there_is_no_such_module")
    words = ("--stop-after=0", f"--results={tmp_path / 'out'}")
    assert fake.pytest_run(project, *FIRST, *words).returncode == 1
    assert ran(tmp_path / "out") == ["per_vcpu.a", "returns.a", "returns.b"]
    done = fake.pytest_run(project, *words)
    assert done.returncode == 2, "without a question, every file is read"
    assert "there_is_no_such_module" in done.stdout


def test_what_had_no_turn_is_no_error_of_the_suite(tmp_path: Path) -> None:
    project = fake.make(tmp_path / "p", preset=fake.HELD)
    out = tmp_path / "out"
    words = ("--first=preset.returns_eintr", "--stop-after=0", f"--results={out}")
    fake.pytest_run(project, *words)
    read = folder_journal(out)
    assert read.left_out == 0
    read.planned["preset.never"] = "preset.repeats"
    answer = {"status": 0, "stopped_by": None, "require_kvm": False}
    assert finish.exit_code(read, **answer)[0] is Exit.SUITE_ERROR
    read.left_out = 1
    code, why = finish.exit_code(read, **answer)
    assert (code, why) == (Exit.HELD, "1 tests had no turn in the time that was given.")


@pytest.mark.parametrize("word", ["--first=preset.nothing", "--stop-after=-1"])
def test_words_that_cannot_be(tmp_path: Path, word: str) -> None:
    project = fake.make(tmp_path / "p", preset=SUITE)
    done = fake.pytest_run(project, word)
    assert done.returncode == 4
    assert word.partition("=")[0] in done.stderr
    assert "Traceback" not in done.stderr
