# SPDX-License-Identifier: GPL-2.0-only
"""lab.payload.inside: one run as the kernel's command line asks for it, with pytest played."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.payload import inside
from lab.payload.frames import unframed
from tests.fakes.machine import journal_of_a_run

# In the place of pytest: says what it was told, and writes a journal in two pieces.
PYTEST = """\
import os, pathlib, sys, time
results = pathlib.Path(next(w for w in sys.argv if w.startswith("--results=")).partition("=")[2])
told = [os.environ.get(name, "") for name in ("KVM_CONFORMANCE_TIER", "KSFT_MACHINE_SLOW")]
print("played", *sys.argv[1:], *told, flush=True)
data = pathlib.Path(__file__).with_name("data").read_bytes()
with (results / "journal.jsonl").open("wb", buffering=0) as journal:
    journal.write(data[:-20])
    time.sleep(0.5)
    journal.write(data[-20:])
(results / "environment.json").write_text('{"a": 1}')
sys.exit(STATUS)
"""


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "pytest.py").write_text(PYTEST.replace("STATUS", "3"))
    (packages / "data").write_bytes(journal_of_a_run())
    monkeypatch.setattr(inside, "PACKAGES", packages)
    monkeypatch.setattr(inside, "ROOT", tmp_path)
    monkeypatch.setattr(inside, "RESULTS", tmp_path / "results")
    return tmp_path


def test_results_go_to_the_console(played: Path, capfd: pytest.CaptureFixture[str]) -> None:
    line = 'console=ttyS0 conformance.arguments="--claim preset" conformance.tier=emulated'
    assert inside.main(line) == 3
    said = capfd.readouterr().out
    assert said.startswith("conformance: begins\n")
    first = next(text for text in said.splitlines() if text.startswith("played"))
    assert first.endswith(f"--results={played}/results --claim preset emulated yes")
    found = unframed(said)
    assert found.files == {
        "journal.jsonl": journal_of_a_run(),
        "environment.json": b'{"a": 1}',
    }
    assert (found.status, found.lost) == (3, 0)
    assert "\nKTAP version 1\n1..2\n" in said
    assert said.endswith("conformance: pytest ended with 3\n")


def test_results_go_to_a_disk(
    played: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def mounted(place: str) -> str:
        assert place == "/dev/vdb"
        (played / "results").mkdir()
        return ""

    monkeypatch.setattr(inside, "mounted", mounted)
    assert inside.main("conformance.results=/dev/vdb") == 3
    said = capfd.readouterr().out
    assert (played / "results/journal.jsonl").read_bytes() == journal_of_a_run()
    assert unframed(said).files == {}
    assert "KTAP version 1" in said


def test_a_run_without_results_says_so(
    played: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (played / "packages/pytest.py").write_text("import sys; sys.exit(4)\n")
    assert inside.main("") == 4
    said = capfd.readouterr().out
    assert "Bail out! there are no results: " in said
    assert unframed(said).status == 4
