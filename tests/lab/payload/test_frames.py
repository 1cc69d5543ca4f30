# SPDX-License-Identifier: GPL-2.0-only
"""lab.payload.frames: results by a console that drops, doubles and mixes what is written to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.reporting import journal
from lab.launch.exit_codes import Exit
from lab.payload.frames import MARK, Framer, unframed
from tests.fakes.machine import journal_of_a_run
from tools.cli import main

LINES = [b'{"event": "session"}\n', b'{"event": "result", "of": "' + b"x" * 900 + b'"}\n', b"{}\n"]


def console(*, status: int | None = 0) -> list[str]:
    """The lines of a run with a journal and one more file."""
    lines: list[str] = []
    framer = Framer(lines.append)
    for line in LINES:
        framer.file("journal.jsonl", line)
    framer.file("environment.json", b"without an end")
    if status is not None:
        framer.end(status)
    return lines


def test_what_is_written_is_read() -> None:
    found = unframed("".join(console(status=-9)))
    assert found.files == {"journal.jsonl": b"".join(LINES), "environment.json": b"without an end"}
    assert (found.status, found.lost) == (-9, 0)


def test_others_speak_between_and_before() -> None:
    """As a lab's relay puts the time before each line, and a terminal a carriage return behind."""
    noisy = "".join(
        f"[  12.345678] 10:00:01 {line[:-1]}\r\n[ 1.0] usb: new\r\n" for line in console()
    )
    found = unframed(noisy)
    assert found.files["journal.jsonl"] == b"".join(LINES)
    assert (found.status, found.lost) == (0, 0)


@pytest.mark.parametrize("damage", ["dropped", "bytes_dropped", "put_into", "changed"])
def test_a_line_that_is_not_whole_is_noticed(damage: str) -> None:
    lines = console()
    middle = next(number for number, line in enumerate(lines) if " - " in line)
    hurt = {
        "dropped": "",
        "bytes_dropped": lines[middle][:40] + lines[middle][48:],
        "put_into": lines[middle][:60] + "[   9.1] kvm: oops\n" + lines[middle][60:],
        "changed": lines[middle].replace("eHh4", "eHh5", 1),
    }
    assert hurt[damage] != lines[middle]
    found = unframed("".join([*lines[:middle], hurt[damage], *lines[middle + 1 :]]))
    assert found.lost == 1
    # The line of which a part is lost is left out, and the next one is not.
    assert found.files["journal.jsonl"] == LINES[0] + LINES[2]


def test_the_end_that_did_not_come_is_no_status() -> None:
    found = unframed("".join(console(status=None)))
    assert found.status is None
    assert found.files["journal.jsonl"] == b"".join(LINES)


def test_lines_that_come_twice_count_once() -> None:
    lines = console()
    found = unframed("".join([*lines[:3], *lines[:3], *lines[3:]]))
    assert (found.files["journal.jsonl"], found.lost) == (b"".join(LINES), 0)


@pytest.mark.parametrize("text", ["", "no such line\n", f"{MARK} 1 a + !! 00000000\n", "\0" * 100])
def test_a_console_without_results(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "console").write_text(text)
    assert main(["image", "--received", str(tmp_path / "console")]) == Exit.SUITE_ERROR
    assert "has no results of a payload" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [tmp_path / "console"]


def received(tmp_path: Path, lines: list[str]) -> int:
    (tmp_path / "console").write_text("".join(lines))
    words = ["--received", str(tmp_path / "console"), "--output", str(tmp_path / "out")]
    return main(["image", *words])


def of_a_run() -> list[str]:
    lines: list[str] = []
    framer = Framer(lines.append)
    framer.file(journal.NAME, journal_of_a_run())
    framer.end(0)
    return lines


def test_results_are_judged_as_those_of_any_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert received(tmp_path, of_a_run()) == Exit.HELD
    assert (tmp_path / "out" / journal.NAME).read_bytes() == journal_of_a_run()
    assert (tmp_path / "out/junit.xml").exists()
    said = capsys.readouterr().out
    assert "\nVERDICT     held. " in said, "who reads the console of a board has seen none"


def test_a_console_that_ends_early_is_a_lost_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert received(tmp_path, of_a_run()[:-2]) == Exit.LOST_VM
    assert "the console ends before the run does" in capsys.readouterr().err


def test_a_lost_line_is_no_verdict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = of_a_run()
    assert received(tmp_path, [*lines[:-3], *lines[-2:]]) == Exit.SUITE_ERROR
    said = capsys.readouterr().err
    assert "1 lines of the results did not come whole" in said
