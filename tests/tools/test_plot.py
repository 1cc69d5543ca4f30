# SPDX-License-Identifier: GPL-2.0-only
"""`kvm-conformance plot`: which results it draws, and what it says of others."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.kick.plan import LANDINGS
from lab.launch.exit_codes import Exit
from lab.pictures import races
from lab.soak.tally import Tally
from tools.cli import main

HOST = {
    "kernel": "6.1",
    "architecture": "x86_64",
    "backend": "kvm_intel",
    "virtualization": "none",
    "tier": "hardware",
}


def a_summary(protocol: str, kicks: int = 1000) -> dict:
    return {
        "plan": {"protocol": protocol},
        "kicks": kicks,
        "landings": {landing.value: kicks // 5 for landing in LANDINGS},
        "lost": {"in the window": 1},
        "latency": {"13": kicks // 2, "14": kicks // 2 - 1, "25": 1},
    }


def write(folder: Path, *entries: object, name: str = "soak.jsonl") -> Path:
    folder.mkdir(exist_ok=True)
    text = "".join(json.dumps(entry) + "\n" for entry in entries)
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def text_of(path: Path) -> str:
    return " ".join(ElementTree.fromstring(path.read_text(encoding="utf-8")).itertext())


def test_a_bare_set_up_draws_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = write(tmp_path / "results", {"event": "slice", "summaries": [a_summary("signal_mask")]})
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["plot", str(found), "--output", str(tmp_path / "out")]) == Exit.SUITE_ERROR
    said = capsys.readouterr().err
    missing = "matplotlib is missing, which draws the pictures"
    assert said == f"Error: {missing}. Run `make setup-plot`.\n"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["soak.jsonl", "journal.jsonl"])
def test_both_kinds_of_results(name: str, tmp_path: Path) -> None:
    found = write(
        tmp_path / "results",
        {"event": "soak", "environment": HOST},
        {"event": "result", "properties": {"summary": a_summary("signal_mask")}},
        {"event": "slice", "summaries": [a_summary("handler_writes"), a_summary("signal_mask")]},
        name=name,
    )
    assert main(["plot", str(found)]) == Exit.HELD
    names = {path.name for path in found.iterdir()}
    assert names == {name, "landings.svg", "landings.png", "latency.svg", "latency.png"}
    for picture in ("landings", "latency"):
        assert (found / f"{picture}.png").read_bytes().startswith(b"\x89PNG\r\n")
        said = text_of(found / f"{picture}.svg")
        assert "Linux 6.1 x86_64, kvm_intel, tier hardware" in said
        assert "handler_writes (n = 1,000, 1 lost)" in said
        assert "signal_mask (n = 2,000, 2 lost)" in said


def test_the_journal_itself_and_another_folder(tmp_path: Path) -> None:
    found = write(tmp_path / "results", {"summary": a_summary("kicker_writes")})
    pictures = tmp_path / "some" / "where"
    arguments = [str(found / "soak.jsonl"), "--output", str(pictures), "--format", "svg"]
    assert main(["plot", *arguments]) == Exit.HELD
    assert {path.name for path in pictures.iterdir()} == {"landings.svg", "latency.svg"}
    assert "host unknown" in text_of(pictures / "latency.svg")


def test_the_same_results_are_the_same_picture(tmp_path: Path) -> None:
    found = write(tmp_path / "results", {"summary": a_summary("kicker_writes")})
    main(["plot", str(found), "--format", "svg"])
    first = (found / "landings.svg").read_bytes()
    main(["plot", str(found), "--format", "svg"])
    assert (found / "landings.svg").read_bytes() == first


def test_the_tail_of_a_histogram() -> None:
    tally = Tally()
    tally.take(a_summary("signal_mask"))
    edges, above = races.tail(tally)
    assert edges == [4096.0, 8192.0, 16384.0, float(1 << 25)]
    assert above == [1.0, 0.5, 0.001, 0.0005]
    assert races.tail(Tally()) == ([], [])


@pytest.mark.parametrize(
    ("content", "why", "code"),
    [
        (b"", "holds no kicks", Exit.SUITE_ERROR),
        (b'{"event": "soak"}\n{"event": "sli', "holds no kicks", Exit.SUITE_ERROR),
        (b"\x89PNG\r\n\x00\n", "line 1: damaged", Exit.SUITE_ERROR),
        (b'{"event": "soak"}\nrubbish\n{}\n', "line 2: damaged", Exit.SUITE_ERROR),
        (b"[" * 100_000 + b"\n", "line 1: damaged", Exit.SUITE_ERROR),
    ],
)
def test_results_that_cannot_be_drawn(
    content: bytes, why: str, code: Exit, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "soak.jsonl").write_bytes(content)
    assert main(["plot", str(tmp_path)]) == code
    said = capsys.readouterr().err
    assert why in said
    assert "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["soak.jsonl"]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ([], "RESULTS"),
        (["nowhere"], "there is no nowhere"),
        (["."], "no folder of results"),
        (["nowhere", "--format", "gif"], "neither svg nor png"),
        (["nowhere", "--format", ""], "neither svg nor png"),
    ],
)
def test_bad_input_is_a_sentence(
    arguments: list[str],
    why: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["plot", *arguments]) == Exit.USAGE
    assert why in " ".join(capsys.readouterr().err.split())


def test_a_folder_that_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = write(tmp_path / "results", {"summary": a_summary("kicker_writes")})
    (tmp_path / "file").touch()
    assert main(["plot", str(found), "--output", str(tmp_path / "file")]) == Exit.CANNOT_WRITE
    assert "Choose another --output" in capsys.readouterr().err


def test_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills up while a picture is drawn."""
    found = write(tmp_path / "results", {"summary": a_summary("kicker_writes")})
    monkeypatch.setattr(Path, "replace", full)
    assert main(["plot", str(found)]) == Exit.CANNOT_WRITE
    assert [path.name for path in found.iterdir()] == ["soak.jsonl"]


def full(*_: object) -> None:
    raise OSError(28, os.strerror(28))
