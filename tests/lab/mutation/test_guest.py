# SPDX-License-Identifier: GPL-2.0-only
"""The process that judges one KVM after the other; its insmod and rmmod load nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.reporting import journal
from lab.mutation import guest as mutate_guest
from lab.mutation import proving
from tests.fakes import project as fake

#: Fails where another request ran in the same process, or where its environment does not count.
SUITE = """
import os
import pytest
SEEN = []

@pytest.mark.claim("preset.repeats")
def test_again():
    SEEN.append(1)
    assert len(SEEN) == 1, "another request's tests ran in this process"
    assert os.environ["WORD"] != "broken", "this KVM is broken"
    while os.environ["WORD"] == "hangs":
        pass
"""
INSMOD = """#!/bin/sh
echo "insmod $1" >>"$LOG"
case "$1" in *refused*) echo "insmod: ERROR: could not insert module: Invalid module format" >&2
    exit 1 ;; esac
"""


class Guest:
    """The process, asked by files."""

    def __init__(self, top: Path) -> None:
        self.top, self.place, self.log = top, top / "place", top / "log"
        self.place.mkdir()
        self.log.touch()
        (top / "bin").mkdir()
        for name, text in (("insmod", INSMOD), ("rmmod", '#!/bin/sh\necho "rmmod" >>"$LOG"\n')):
            (top / "bin" / name).write_text(text)
            (top / "bin" / name).chmod(0o755)
        self.project = fake.make(top / "p", preset=SUITE)
        self._asked = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lab.mutation.guest", str(self.place), *self._words()],
            cwd=self.project,
            env=fake.environ(LOG=str(self.log), PATH=f"{top / 'bin'}:{os.environ['PATH']}"),
            stdin=subprocess.DEVNULL,
        )

    def _words(self) -> list[str]:
        project = self.project
        return ["-c", f"{project}/pytest.ini", f"--rootdir={project}", "-p", "no:cacheprovider"]

    def ask(self, name: str, *, stock: str = "", **environment: str) -> dict[str, Any]:
        folder = self.top / name
        folder.mkdir()
        request = {
            "modules": f"/modules/{name}",
            "words": [*self._words(), f"--results={folder}"],
            "environment": environment,
            "output": str(folder / "output.txt"),
            "results": str(folder),
            "stock": stock,
        }
        fresh = self.place / "new"
        fresh.write_text(json.dumps(request))
        fresh.replace(self.place / mutate_guest.request_file(self._asked))
        answer = self.place / mutate_guest.answer_file(self._asked)
        self._asked += 1
        fake.wait_for(lambda: answer.exists() or self._process.poll() is not None)
        found: dict[str, Any] = json.loads(answer.read_text())
        return found

    def end(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[Guest]:
    made = Guest(tmp_path)
    yield made
    made.end()


def test_each_request_has_a_process_an_output_and_results_of_its_own(guest: Guest) -> None:
    assert guest.ask("sound", WORD="sound")["status"] == 0
    assert guest.ask("broken", WORD="broken")["status"] == 1
    assert guest.ask("sound_again", WORD="sound")["status"] == 0
    outcomes = {
        name: [each.outcome.value for each in journal.read(guest.top / name / journal.NAME).results]
        for name in ("sound", "broken", "sound_again")
    }
    assert outcomes == {"sound": ["passed"], "broken": ["failed"], "sound_again": ["passed"]}
    assert "this KVM is broken" in (guest.top / "broken/output.txt").read_text()
    assert "broken" not in (guest.top / "sound_again/output.txt").read_text()
    assert [line for line in guest.log.read_text().splitlines() if "insmod" in line] == [
        f"insmod /modules/{name}/{module}.ko"
        for name in ("sound", "broken", "sound_again")
        for module in ("kvm", "kvm-amd")
    ]


def test_what_failed_is_told_as_a_program_on_this_kvm_and_on_the_stock_one(guest: Guest) -> None:
    """These tests fail by what no program can ask; the stock KVM has its turn all the same."""
    assert guest.ask("sound", stock="/modules/stock", WORD="sound")["left"] == ""
    answer = guest.ask("broken", stock="/modules/stock", WORD="broken")
    assert (answer["status"], answer["left"]) == (1, "")
    loaded = [line for line in guest.log.read_text().splitlines() if line.endswith("/kvm.ko")]
    assert loaded == [f"insmod /modules/{name}/kvm.ko" for name in ("sound", "broken", "stock")]
    proof = proving.read(guest.top / "broken")
    assert "can be told" in proof.why
    assert not proof.proves
    assert not (guest.top / "sound" / proving.RECORD).exists()


def test_modules_that_are_refused_are_told_and_nothing_is_tested(guest: Guest) -> None:
    answer = guest.ask("refused", WORD="sound")
    assert answer["refused"] == "insmod: ERROR: could not insert module: Invalid module format"
    assert answer["status"] is None
    assert not (guest.top / "refused" / journal.NAME).exists()
    assert guest.ask("sound", WORD="sound")["status"] == 0


def test_modules_that_stay_are_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """rmmod's words; and it is asked only for what is there."""
    rmmod = tmp_path / "rmmod"
    rmmod.write_text('#!/bin/sh\necho "rmmod: ERROR: Module $1 is in use" >&2\nexit 1\n')
    rmmod.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(mutate_guest, "LOADED", tmp_path)
    monkeypatch.setattr(mutate_guest, "_REMOVED_S", 0.0)
    assert mutate_guest.remove() == ""
    (tmp_path / "kvm").mkdir()
    (tmp_path / "kvm/initstate").touch()
    assert mutate_guest.remove() == "rmmod: ERROR: Module kvm is in use"
    # A file that was closed a moment ago is given back a moment later.
    monkeypatch.setattr(mutate_guest, "_REMOVED_S", 60.0)
    rmmod.write_text(f"#!/bin/sh\n[ -e {tmp_path}/asked ] || {{ : >{tmp_path}/asked; exit 1; }}\n")
    assert mutate_guest.remove() == ""


def test_tests_that_take_too_long_are_ended(guest: Guest) -> None:
    (guest.place / mutate_guest.stop_file(0)).touch()
    assert guest.ask("slow", WORD="hangs") == {"status": -9, "refused": "", "left": ""}
    assert guest.ask("sound", WORD="sound")["status"] == 0


def test_a_thread_that_nothing_ends_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that SIGKILL does not end here, for it is not sent."""
    monkeypatch.setattr(mutate_guest, "_KILLED_S", 0.0)
    with subprocess.Popen(["sleep", "100"]) as process:
        with monkeypatch.context() as patched:
            patched.setattr(os, "kill", lambda *_: None)
            status = mutate_guest.ended(process.pid, tmp_path)
        told = mutate_guest.told_of(process.pid)
        process.kill()
    assert status is None
    assert told.startswith("SIGKILL does not end a thread of the tests: it sleeps in ")
