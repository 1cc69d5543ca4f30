# SPDX-License-Identifier: GPL-2.0-only
"""`kvm-conformance export`: from a folder to a file, and what it refuses."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from lab.launch import finish
from lab.launch.speaker import Written
from lab.results.formats import FORMATS
from tests.lab.results import journals
from tools.cli import main


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "results").mkdir()
    journals.write("broken", tmp_path / "results" / "journal.jsonl")
    return tmp_path / "results"


@pytest.mark.parametrize("wanted", FORMATS)
def test_every_format_is_written(wanted: str, results: Path, tmp_path: Path) -> None:
    file = tmp_path / "out"
    assert main(["export", str(results), "--format", wanted, "-o", str(file)]) == 0
    assert len(file.read_text(encoding="utf-8").splitlines()) > 5


def test_without_a_file_it_is_printed(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(results / "journal.jsonl"), "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["suites"]) == 1


def test_of_several_runs_each_is_a_suite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kernel in ("6.1", "6.12"):
        (tmp_path / kernel).mkdir()
        journals.write("cut", tmp_path / kernel / "journal.jsonl")
    assert main(["export", str(tmp_path), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)["suites"]
    assert [each["name"] for each in told] == ["6.1", "6.12"]
    assert all(each["counts"]["missed"] == 12 for each in told)
    assert main(["export", str(tmp_path), "--format", "ktap"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")][1:] == [
        "1..2",
        "not ok 1 6.1",
        "not ok 2 6.12",
    ]


def test_what_cannot_be_exported(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*words: str) -> tuple[int, str]:
        code = main(["export", *words])
        return code, capsys.readouterr().err

    code, text = refused(str(tmp_path / "none"), "--format", "tap")
    assert code == 64
    assert "none' does not exist" in text
    assert refused("x" * 300, "--format", "tap")[0] == 64
    assert refused("", "--format", "tap")[0] == 64
    (tmp_path / "empty").mkdir()
    code, text = refused(str(tmp_path / "empty"), "--format", "tap")
    assert code == 70
    assert "has no journal.jsonl" in text
    code, text = refused(str(results), "--format", "cobol")
    assert code == 64
    (tmp_path / "empty" / "journal.jsonl").write_text('{"event": "session"}\nrubbish\n{}\n')
    code, text = refused(str(tmp_path / "empty"), "--format", "tap")
    assert code == 70
    assert "journal.jsonl, line" in text
    code, text = refused(str(results), "--format", "tap", "-o", str(tmp_path / "no" / "file"))
    assert code == 73
    assert "cannot be written" in text


# ---- --export of the commands that run something


@pytest.mark.parametrize("command", ["run", "emulate", "matrix", "mutate"])
@pytest.mark.parametrize(
    ("given", "words"), [("cobol=x", "'cobol' is none of ktap"), ("tap=", "names no file")]
)
def test_what_is_no_export(
    command: str, given: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--export", given]) == 64
    assert words in capsys.readouterr().err


def finished(kind: str, folder: Path, *exports: tuple[str, Path]) -> tuple[int, str]:
    """What is done when the pytest of one of the four runs is gone."""
    folder.mkdir()
    journals.write(kind, folder / "journal.jsonl")
    told = io.StringIO()
    code = finish.finish(
        folder,
        Written(told),
        status={"sound": 0, "broken": 1}.get(kind, -9),
        stopped_by=None,
        require_kvm=False,
        narrowed=False,
        exports=exports,
    )
    return code, told.getvalue()


@pytest.mark.parametrize(
    ("kind", "code", "missed"),
    [("sound", 0, 0), ("broken", 1, 0), ("cut", 1, 11), ("lost", 70, 24)],
)
def test_a_run_that_is_over_writes_them(kind: str, code: int, missed: int, tmp_path: Path) -> None:
    found = finished(kind, tmp_path / "out", ("json", tmp_path / "j"), ("tap", tmp_path / "t"))[0]
    assert found == code
    (told,) = json.loads((tmp_path / "j").read_text())["suites"]
    assert told["counts"]["missed"] == missed
    of_the_run = [claim for claim in told["claims"] if claim["name"] == "run"]
    assert bool(of_the_run) == (code == 70), "a run without a verdict says so as a whole, too"
    assert (tmp_path / "t").read_text().startswith("kvm_immediate_exit.tap ..")


def test_one_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    code, told = finished(
        "sound", tmp_path / "out", ("md", tmp_path / "no/file"), ("json", tmp_path / "j")
    )
    assert code == 73
    assert "no/file cannot be written" in told
    assert (tmp_path / "j").exists()
