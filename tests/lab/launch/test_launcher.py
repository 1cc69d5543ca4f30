# SPDX-License-Identifier: GPL-2.0-only
"""The launcher's runs: exit codes, the folder of results, signals, and that nothing is left."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.reporting import journal
from tests.fakes import project as fake

both_ways = pytest.mark.parametrize("workers", ["0", "2"], ids=["one_process", "workers"])

DIES = """
import os, pytest
@pytest.mark.claim("signals.no_restart")
def test_dies():
    {words}
    os.kill(os.getpid(), 9)
"""

WORDS = (
    'open(os.environ["KVM_CONFORMANCE_LAST_WORDS"], "w").write('
    'os.environ["PYTEST_CURRENT_TEST"] + ": the guest never came back")'
)

STUBBORN = fake.STUCK.replace("import pytest\n", "import pytest, signal, subprocess\n").replace(
    "    time.sleep(60)",
    "    signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "    child = subprocess.Popen(['sh', '-c', 'trap \"\" INT TERM; sleep 60; sleep 60'])\n"
    "    time.sleep(60)",
)


@pytest.mark.parametrize(
    ("suites", "more", "code"),
    [
        ({"preset": fake.HELD, "signals": fake.SKIPPED}, [], 0),
        ({"preset": fake.HELD, "preset__b": fake.FAILED}, [], 1),
        ({"preset__b": fake.HELD, "preset": "import nothing_like_this"}, [], 70),
        ({"signals": fake.SKIPPED}, [], 4),
        ({"signals": fake.SKIPPED}, ["kvm"], 1),
        ({"preset": fake.ERROR}, [], 70),
        ({"preset": fake.ERROR, "preset__b": fake.FAILED.replace("again", "it")}, [], 1),
        ({"preset": "import nothing_like_this"}, [], 70),
        ({"preset": ""}, [], 4),
    ],
    ids=[
        "held",
        "failed",
        "held_and_not_loaded",
        "all_skipped",
        "kvm_required",
        "error",
        "error_and_failed",
        "not_loaded",
        "no_tests",
    ],
)
@both_ways
def test_exit_codes(
    tmp_path: Path, workers: str, suites: dict[str, str], more: list[str], code: int
) -> None:
    project = fake.make(tmp_path / "p", **suites)
    child = fake.launcher(project, tmp_path / "out", *more, jobs=workers)
    output, errors = child.communicate(timeout=60)
    assert child.returncode == code, output + errors
    assert "Traceback" not in errors
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {".lock", "journal.jsonl", "junit.xml", "environment.json", "kernel.log"}
    assert fake.well_formed(tmp_path / "out" / "junit.xml")
    assert fake.processes_of(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("words", "code", "outcome", "message", "told"),
    [
        ("pass", 70, "error", "lost: ", "not judged  signals.no_restart"),
        (WORDS, 1, "crashed", "the guest never came back", "FAILED      signals.no_restart"),
    ],
    ids=["silent", "last_words"],
)
@both_ways
def test_a_test_that_takes_its_process_along(
    tmp_path: Path, workers: str, words: str, code: int, outcome: str, message: str, told: str
) -> None:
    """Only the rescue's last words show that it was the kernel."""
    project = fake.make(tmp_path / "p", preset=fake.HELD, signals=DIES.format(words=words))
    child = fake.launcher(project, tmp_path / "out", jobs=workers)
    output, errors = child.communicate(timeout=60)
    assert child.returncode == code, output + errors
    read = journal.read(tmp_path / "out" / journal.NAME)
    dead = {r.id: r for r in read.results}["signals.dies"]
    assert (dead.outcome.value, dead.claim) == (outcome, "signals.no_restart")
    assert dead.message.startswith(message)
    assert told in output
    cases = list(ElementTree.parse(tmp_path / "out" / "junit.xml").iter("testcase"))
    assert len(cases) == 3
    assert fake.processes_of(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("signals", "code"),
    [
        ([signal.SIGINT], 130),
        ([signal.SIGTERM], 143),
        ([signal.SIGTERM, signal.SIGTERM], 143),
        ([signal.SIGINT, signal.SIGTERM, signal.SIGTERM], 130),
    ],
    ids=["interrupt", "terminate", "terminate_twice", "mixed"],
)
@both_ways
def test_signals(tmp_path: Path, workers: str, signals: list[signal.Signals], code: int) -> None:
    project = fake.make(tmp_path / "p", preset=fake.HELD, signals=fake.STUCK)
    child = fake.launcher(project, tmp_path / "out", jobs=workers)
    _stop(child, project, tmp_path / "out", signals)
    output, errors = child.communicate(timeout=60)
    _assert_stopped(tmp_path / "out", child.returncode, code, output + errors)


def test_a_test_that_takes_no_signal_is_ended(tmp_path: Path) -> None:
    project = fake.make(tmp_path / "p", preset=fake.HELD, signals=STUBBORN)
    child = fake.launcher(project, tmp_path / "out", orderly=0.5)
    _stop(child, project, tmp_path / "out", [signal.SIGTERM, signal.SIGTERM])
    output, errors = child.communicate(timeout=60)
    _assert_stopped(tmp_path / "out", child.returncode, 143, output + errors)
    assert "incomplete. 1 claim held so far." in " ".join(output.split())


def test_a_process_left_behind_by_a_test_is_ended(tmp_path: Path) -> None:
    text = fake.HELD.replace("    pass", "    import subprocess; subprocess.Popen(['sleep', '60'])")
    child = fake.launcher(fake.make(tmp_path / "p", preset=text), tmp_path / "out")
    child.communicate(timeout=60)
    assert fake.processes_of(tmp_path / "out") == []


def _stop(
    child: subprocess.Popen[str], project: Path, output: Path, signals: list[signal.Signals]
) -> None:
    path = output / journal.NAME
    fake.wait_for(lambda: (project / "began").exists() and len(journal.read(path).results) == 2)
    for number in signals:
        child.send_signal(number)
        time.sleep(0.1)


def _assert_stopped(output: Path, found: int, code: int, text: str) -> None:
    assert found == code, text
    assert "Traceback" not in text
    assert "their results are kept" in text
    read = journal.read(output / journal.NAME)
    assert len(read.results) == 2
    assert read.not_run == ["signals.stuck"]
    assert fake.well_formed(output / "junit.xml")
    assert fake.processes_of(output) == []
