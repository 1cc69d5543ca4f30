# SPDX-License-Identifier: GPL-2.0-only
"""`kvm-conformance export`: from a folder to a file, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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
    assert "there is no" in text
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
