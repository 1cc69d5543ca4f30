# SPDX-License-Identifier: GPL-2.0-only
"""The locks by which races do not disturb each other: whose they are, and how long one waits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness import file_lock
from harness.kick import slots
from harness.kick.plan import PlanError

HOLD = """
import sys
from pathlib import Path
from harness import file_lock
from harness.kick import slots
file_lock.RUNTIME = file_lock.TEMPORARY = Path(sys.argv[1])
with slots.slot():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the locks go, with one slot for all."""
    monkeypatch.delenv(file_lock.SESSION, raising=False)
    monkeypatch.setattr(file_lock, "RUNTIME", tmp_path)
    monkeypatch.setattr(file_lock, "TEMPORARY", tmp_path)
    monkeypatch.setattr(slots, "pairs", lambda cpus: [slots.Slot(cpus[0], cpus[0])])
    return tmp_path


def test_whoever_waits_says_for_whom_and_ends(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = min(os.sched_getaffinity(0))
    words = ["taskset", "-c", str(cpu), sys.executable, "-c", HOLD, str(place)]
    monkeypatch.setattr(file_lock, "WORD_S", 0.1)
    monkeypatch.setattr(file_lock, "LIMIT_S", 0.5)
    said: list[str] = []
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout
        assert child.stdout.readline() == b"held\n"
        with (
            pytest.raises(PlanError, match=rf"process {child.pid} \(python"),
            slots.slot(said.append),
        ):
            pytest.fail("two have it")
        assert child.stdin
        child.stdin.close()
    assert len(said) == 1, "one word for each holder"
    assert f"held by process {child.pid}" in said[0]
    with slots.slot(said.append):
        assert len(said) == 1


@pytest.mark.parametrize("how", ["link", "open_to_others", "file"])
def test_a_folder_of_somebody_else_is_not_used(place: Path, how: str) -> None:
    folder = place / f"kvm-conformance-{os.geteuid()}"
    if how == "link":
        (place / "elsewhere").mkdir(0o700)
        folder.symlink_to("elsewhere")
    elif how == "file":
        folder.touch()
    else:
        folder.mkdir()
        folder.chmod(0o777)
    with pytest.raises(PlanError, match="not a folder of this user alone"), slots.slot():
        pytest.fail("it was taken")


def test_a_lock_that_is_a_fifo_or_a_link_is_no_wait(place: Path) -> None:
    folder = place / f"kvm-conformance-{os.geteuid()}"
    folder.mkdir(0o700)
    lock = folder / f"cpu{min(os.sched_getaffinity(0))}.lock"
    lock.symlink_to("/dev/zero")
    with pytest.raises(PlanError, match="cannot be opened"), slots.slot():
        pytest.fail("it was taken")


def test_the_folder_of_the_session_is_taken_where_there_is_one(place: Path) -> None:
    (place / str(os.geteuid())).mkdir(0o700)
    with slots.slot():
        assert list((place / str(os.geteuid()) / "kvm-conformance").iterdir())


@pytest.mark.parametrize(
    ("name", "mode", "taken"),
    [("own", 0o700, True), ("open", 0o755, False), ("gone", None, False), ("", 0o700, False)],
)
def test_the_folder_that_the_session_names_is_taken_if_it_is_private(
    place: Path, monkeypatch: pytest.MonkeyPatch, name: str, mode: int | None, taken: bool
) -> None:
    """Elsewhere races that should exclude each other would not: the folder of all is taken."""
    named = place / "session"
    if mode is not None:
        named.mkdir(mode)
    monkeypatch.chdir(named if mode is not None else place)
    monkeypatch.setenv(file_lock.SESSION, str(named) if name else ".")
    with slots.slot():
        assert (named / slots._NAME).exists() == taken
        assert (place / f"{slots._NAME}-{os.geteuid()}").exists() != taken
