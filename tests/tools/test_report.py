# SPDX-License-Identifier: GPL-2.0-only
"""`kvm-conformance report`: of which places, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.report import results
from tests.lab.results import journals
from tools.cli import main


def test_of_one_folder_it_is_what_export_writes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, page = results.raced(tmp_path / "run"), tmp_path / "page.html"
    assert main(["report", str(place), "-o", str(page)]) == 0
    assert capsys.readouterr().out == f"{page}\n"
    assert main(["export", str(place), "--format", "html"]) == 0
    assert capsys.readouterr().out == page.read_text(encoding="utf-8")


def test_several_places_are_told_apart_and_each_once(tmp_path: Path) -> None:
    day, matrix, page = tmp_path / "day", tmp_path / "matrix", tmp_path / "page.html"
    results.raced(day)
    for kernel in ("6.1", "6.12"):
        results.raced(matrix / kernel, kernel)
    (tmp_path / "latest").symlink_to(day)
    places = [str(each) for each in (day, matrix, tmp_path / "latest")]
    assert main(["report", *places, "-o", str(page)]) == 0
    text = page.read_text(encoding="utf-8")
    assert "Of 3 runs 3 FAILED." in text
    assert all(name in text for name in ("(day)", "(matrix.6.1)", "(matrix.6.12)"))


def test_places_with_one_name_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for host in ("one", "two"):
        results.raced(Path(host, "latest"))
    assert main(["report", "one/latest", "two/latest", "-o", "page.html"]) == 0
    text = Path("page.html").read_text(encoding="utf-8")
    assert all(f"({host}/latest)" in text for host in ("one", "two"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["none"], 64, "'none' does not exist"),
        ([""], 64, "the path is empty"),
        (["run", "-o", ""], 64, "the path is empty"),
        (["run", "-o", "/"], 64, "is a directory"),
        ([], 64, "RESULTS..."),
        (["run", "empty"], 70, "empty has no journal.jsonl"),
        (["run", "/dev/null"], 70, "/dev/null is neither a folder of results nor a journal"),
        (["run", "-o", "no/page.html"], 73, "no/page.html cannot be written"),
    ],
)
def test_what_it_refuses(
    words: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("run").mkdir()
    Path("empty").mkdir()
    journals.write("broken", Path("run/journal.jsonl"))
    assert main(["report", *words]) == code
    assert said in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.html"))
