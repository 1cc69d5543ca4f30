# SPDX-License-Identifier: GPL-2.0-only
"""`make conformance STATUS_FILE=`: the launcher's code gets there, and no code of an earlier run.

make turns each failure into 2.
"""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.fakes import project as fake

ROOT = Path(__file__).resolve().parents[2]


def played(folder: Path, *, launcher: str = "exit 0", set_up: str = "exit 0") -> None:
    """A folder in which make finds a set-up and a launcher that only play."""
    for name, text in (("tools/bootstrap.sh", set_up), (".venv/bin/kvm-conformance", launcher)):
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)


def words(status: str) -> list[str]:
    return ["make", "-f", str(ROOT / "Makefile"), "conformance", f"STATUS_FILE={status}"]


def conformance(folder: Path, status: str) -> tuple[int, str]:
    done = subprocess.run(
        words(status), cwd=folder, capture_output=True, text=True, check=False, timeout=30
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(("code", "of_make"), [(0, 0), (1, 2), (4, 2), (70, 2)])
@pytest.mark.parametrize("name", ["status", """two "words' of; it"""])
def test_the_launchers_code(tmp_path: Path, code: int, of_make: int, name: str) -> None:
    played(tmp_path, launcher=f"exit {code}")
    assert conformance(tmp_path, name)[0] == of_make
    assert (tmp_path / name).read_text() == f"{code}\n"


def test_a_set_up_that_fails_leaves_its_code_too(tmp_path: Path) -> None:
    played(tmp_path, set_up="exit 143")
    assert conformance(tmp_path, "status")[0] == 2
    assert (tmp_path / "status").read_text() == "143\n"


def test_a_run_that_has_not_ended_says_70(tmp_path: Path) -> None:
    """What a run leaves that is killed, with make and all."""
    (tmp_path / "status").write_text("0\n")
    played(tmp_path, launcher="cp status during", set_up="cp status before")
    conformance(tmp_path, "status")
    assert (tmp_path / "before").read_text() == (tmp_path / "during").read_text() == "70\n"


@pytest.mark.parametrize("status", ["/dev/full", "missing/status", "."])
def test_a_file_that_cannot_be_written_is_told_before_the_run(tmp_path: Path, status: str) -> None:
    played(tmp_path, launcher="touch ran", set_up="touch set-up")
    code, said = conformance(tmp_path, status)
    assert code == 2
    assert f"Error: STATUS_FILE={status} cannot be written." in said
    assert "Error 73" in said
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "set-up").exists()


def test_a_file_that_cannot_be_written_any_more(tmp_path: Path) -> None:
    played(tmp_path, launcher="rm status; mkdir status")
    code, said = conformance(tmp_path, "status")
    assert code == 2
    assert "Error 73" in said


def test_no_file_is_asked_for(tmp_path: Path) -> None:
    played(tmp_path)
    assert conformance(tmp_path, "") == (0, "")


def test_ctrl_c_leaves_the_launchers_code(tmp_path: Path) -> None:
    """All of a terminal's processes get it; the shell waits for what the launcher makes of it."""
    played(tmp_path, launcher="trap 'sleep 0.2; exit 130' INT; touch began; sleep 20 & wait")
    process = subprocess.Popen(
        ["/usr/bin/env", "--default-signal=INT", *words("status")],
        cwd=tmp_path,
        start_new_session=True,
        stderr=subprocess.DEVNULL,
    )
    fake.wait_for((tmp_path / "began").exists)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(30) != 0
    fake.wait_for(lambda: (tmp_path / "status").read_text() == "130\n", 10)
