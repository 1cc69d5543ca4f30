# SPDX-License-Identifier: GPL-2.0-only
"""The launcher's command line: choices, bad input, the catalogue, listing; and its renderers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from junit_xml import TestCase as JunitCase

from harness.claims import catalogue
from harness.reporting import journal
from harness.reporting.results import Result, TestOutcome
from lab.launch import finish, kernel_log, output_folder
from lab.launch import run as launching
from lab.launch.exit_codes import Exit
from lab.launch.request import Request
from lab.results import junit
from lab.results.found import of_journal
from tests.fakes import project as fake
from tools import list_claims, options, run
from tools.cli import cli, main
from tools.options import EXTRA
from tools.screen.terminal import TERMINAL

assert JunitCase  # the library that the renderer needs


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["run", "--claim", "preset.repeat"], "preset.repeats"),
        (["run", "--suite", "presets"], "preset"),
        (["run", "--suite", "preset", "--claim", "signals"], "no claim is left"),
        (["run", "--clam", "preset"], "--claim"),
        (["run", "preset"], "unexpected extra argument"),
        (["run", "--jobs", "many"], "neither a number"),
        (["run", "--jobs", "-1"], "neither a number"),
        (["run", "--jobs", "1000000"], "1000000 workers: there may be 999 at most"),
        (["run", "--output", ""], "the path is empty"),
        (["run", "--output", "x\udcff"], r"'x\udcff' is not UTF-8"),
        (["run", "--", "-k", "x\udcff"], r"'x\udcff' is not UTF-8"),
        (["run", "--", "--co"], "with --co pytest runs no test"),
        (["run", "--list", "--", "-x", "--help"], "with --help pytest runs no test"),
        (["emulate", "--", "--cache-show=*"], "with --cache-show=* pytest runs no test"),
        (["claims", "--chapter", ""], "unknown chapter"),
        (["claims", "--chapter", "signal"], "unknown chapter"),
        (["rum"], "No such command"),
        ([], "Usage"),
    ],
)
def test_wrong_usage(arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 64
    assert why in capsys.readouterr().err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    for name in ("run", "claims", "blobs", "bench"):
        assert f"\n  {name} " in text
    assert main(["run", "--help"]) == 0


def test_exit_codes_avoid_those_of_kselftest() -> None:
    assert not {2, 3} & {int(code) for code in Exit}
    assert set(cli.list_commands(None)) == {
        *(
            "run",
            "emulate",
            "image",
            "matrix",
            "sweep",
            "explore",
            "reproduce",
            "export",
            "report",
            "diff",
            "baseline",
            "mutate",
            "cache",
            "claims",
            "blobs",
            "bench",
            "soak",
            "plot",
        )
    }


def test_claims(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["claims"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name}  [" in text for name in catalogue())
    assert max(map(len, text.splitlines())) <= 100
    assert "\x1b" not in text
    assert main(["claims", "--chapter", "states", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {entry["chapter"] for entry in found} == {"vcpu_states"}


def test_claims_need_no_extension() -> None:
    code = "import sys; sys.modules['harness.native'] = None\n"
    code += "from tools.cli import main; sys.exit(main(['claims']))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=fake.environ(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_no_extension(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "harness.native", None)
    assert main(["run"]) == 70
    assert "make setup" in capsys.readouterr().err


@pytest.mark.parametrize("below", ["file/below", "/proc/nothing/here"])
def test_results_that_cannot_be_written(
    tmp_path: Path, below: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    request = Request(output=tmp_path / below)
    assert launching.launch(request, TERMINAL, narrowed=False, root=tmp_path) == 73
    assert "cannot be written" in capsys.readouterr().err


def test_listing_shows_ids_and_claims(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = fake.make(tmp_path, preset=fake.HELD, signals=fake.STUCK)
    assert run.list_tests(Request(claims=("preset",)), root=project) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["preset.first_run.real", "preset.returns_eintr"],
        ["preset.first_run.long", "preset.returns_eintr"],
    ]
    assert not (project / "began").exists()


def test_listing_obeys_what_follows_the_dashes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = fake.make(tmp_path, preset=fake.HELD)
    chosen = Request(pytest_arguments=("-k", "real", "-v"))
    assert run.list_tests(chosen, root=project) == 0
    assert capsys.readouterr().out.split() == ["preset.first_run.real", "preset.returns_eintr"]
    assert run.list_tests(Request(pytest_arguments=("--such",)), root=project) == 64
    assert "--such" in capsys.readouterr().err


@pytest.mark.parametrize("word", options._RUN_NO_TEST)
def test_words_with_which_pytest_runs_no_test(tmp_path: Path, word: str) -> None:
    """They are that: with each of them a test that fails does not."""
    done = fake.pytest_run(fake.make(tmp_path, preset=fake.FAILED), word)
    assert done.returncode != 1, done.stdout
    assert "VERDICT" not in done.stdout


def test_listing_of_a_broken_suite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = fake.make(tmp_path, preset="import nothing_like_this")
    assert run.list_tests(Request(), root=project) == 70
    assert "nothing_like_this" in capsys.readouterr().err


def test_results_that_are_a_link_to_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").symlink_to("nowhere")
    with (
        pytest.raises(output_folder.ResultsError, match="results"),
        output_folder.held(None),
    ):
        pytest.fail("there is no such folder")


def test_default_output_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with output_folder.held(None) as first, output_folder.held(None) as second:
        pass
    assert first != second
    assert first.parent == tmp_path / "results"
    assert first.name.endswith(os.uname().release) or os.uname().release in second.name
    assert (tmp_path / "results/latest").resolve() == second
    assert sorted(p.name for p in (tmp_path / "results").iterdir())[-1] == "latest"


def test_an_earlier_runs_files_do_not_stay(tmp_path: Path) -> None:
    for name in (*finish.FILES, "own.txt"):
        (tmp_path / name).write_text("old")
    with output_folder.held(tmp_path):
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "own.txt"]


def test_pytest_options_go_through() -> None:
    context = run.run.make_context("run", ["--jobs", "0", "--", "-k", "first"])
    assert context.params["jobs"] == "0"
    assert context.meta[EXTRA] == ("-k", "first")


@pytest.mark.parametrize(
    ("stopped", "status", "code"),
    [(signal.SIGINT, 2, 130), (signal.SIGTERM, -9, 143), (None, 4, 64), (None, 3, 70)],
)
def test_exit_code_without_results(stopped: signal.Signals | None, status: int, code: int) -> None:
    empty = journal.Journal()
    found, _ = finish.exit_code(empty, status=status, stopped_by=stopped, require_kvm=False)
    assert found == code


def test_planned_tests_that_did_not_run_are_no_success() -> None:
    passed = Result("preset.a", "preset.fast", TestOutcome.PASSED, "call", "", "", "", 0.0, "", "")
    cut = journal.Journal(
        planned={"preset.a": "preset.fast", "preset.b": "preset.fast"},
        results=[passed],
        exit_status=0,
        has_session=True,
    )
    assert finish.exit_code(cut, status=0, stopped_by=None, require_kvm=False)[0] == 70


# ---- junit.xml from a journal


def test_junit_with_what_xml_cannot_hold(tmp_path: Path) -> None:
    dirty = "esc \x1b nul \x00 half \udc80 end \ufffe <&> ä"
    results = [
        Result(f"preset.r{number}", "preset.fast", outcome, "call", "", text, text, 0.0, "", "")
        for number, (outcome, text) in enumerate(
            [(outcome, text) for outcome in TestOutcome for text in (dirty, "")]
        )
    ]
    read = journal.Journal(environment={"kernel": dirty}, results=results, planned={"a.b": "a.b"})
    text = junit.render([of_journal(read, {})])
    (tmp_path / "junit.xml").write_text(text, encoding="utf-8")
    assert fake.well_formed(tmp_path / "junit.xml")
    assert text.count("<failure") == 4
    assert text.count("<error") == 3  # two results, and the test that did not run
    assert text.count("<skipped") == 2


# ---- kernel.log


def test_kernel_log_that_cannot_be_read(tmp_path: Path) -> None:
    log = kernel_log.Copy(tmp_path / "kernel.log", device=tmp_path / "none")
    log.more()
    log.close()
    text = (tmp_path / "kernel.log").read_text()
    assert text.count("\n") == 1
    assert "No such file" in text


def test_entry_form_is_one_per_claim(capsys: pytest.CaptureFixture[str]) -> None:
    list_claims._print(catalogue()["preset.repeats"], 80)
    assert capsys.readouterr().out.startswith("  preset.repeats  [documented]\n    While ")


def test_a_python_that_cannot_be_executed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An environment that belongs to somebody else: a sentence, and the suite's own exit code."""
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    request = Request(output=tmp_path / "out")
    code = launching.launch(request, TERMINAL, narrowed=False)
    assert code == Exit.SUITE_ERROR
    assert "pytest cannot be started by" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("budget", "sentence"),
    [
        ("0", "0 kicks: a budget is 2,000 to"),
        ("-5", "-5 kicks: a budget is 2,000 to"),
        ("99999999999999", "a budget is 2,000 to 1,000,000,000,000"),
        ("many", "none of quick, ci, nightly"),
    ],
    ids=["nothing", "negative", "absurd", "word"],
)
def test_a_budget_that_cannot_be(
    budget: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused before anything runs, with what a budget may be."""
    assert main(["run", f"--budget={budget}", "--list"]) == Exit.USAGE
    assert sentence in " ".join(capsys.readouterr().err.split())
