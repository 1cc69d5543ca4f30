# SPDX-License-Identifier: GPL-2.0-only
"""Signals at bad moments, a terminal that closes, words that pytest refuses, a soak too short."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from harness.host import obstacles
from harness.reporting import journal
from lab.launch.exit_codes import Exit
from lab.soak import tally
from lab.soak.journal import JOURNAL
from tests.fakes import project as fake
from tools.cli import main

#: The launcher, whose clean-up begins only when a hundred signals have come.
STORM = fake.LAUNCH.replace(
    "request = Request",
    """
import os, signal
from lab.launch import finish
whole = finish.finish
def finished(*words, **more):
    for _ in range(100):
        os.kill(os.getpid(), signal.{name})
    code = whole(*words, **more)
    os.kill(os.getpid(), signal.{name})
    return code
finish.finish = finished
request = Request""",
).replace(
    "sys.exit(ending",
    """
import atexit
atexit.register(lambda: [os.kill(os.getpid(), signal.{name}) for _ in range(100)])
sys.exit(ending""",
)


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 143)])
def test_a_storm_of_signals_at_the_end(tmp_path: Path, name: str, code: int) -> None:
    """The results are complete, and the code is the signal's; never a traceback."""
    project, output = fake.make(tmp_path / "p", preset=fake.HELD), tmp_path / "out"
    words = [str(project), str(output), "8", "0", "10"]
    done = subprocess.run(
        [sys.executable, "-c", STORM.replace("{name}", name), *words],
        env=fake.environ(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert journal.read(output / journal.NAME).exit_status == 0
    assert fake.well_formed(output / "junit.xml")


@pytest.mark.parametrize("workers", ["0", "2"], ids=["one_process", "workers"])
def test_a_terminal_that_closes_costs_no_results(tmp_path: Path, workers: str) -> None:
    """SIGHUP, and from then on each write to the terminal fails."""
    project = fake.make(tmp_path / "p", preset=fake.HELD, signals=fake.STUCK)
    output = tmp_path / "o"
    words = [sys.executable, "-c", fake.LAUNCH, str(project), str(output), "8", workers, "10"]
    terminal, other_end = pty.openpty()
    child = subprocess.Popen(
        ["setsid", "--ctty", *words],
        env=fake.environ(),
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
    )
    os.close(other_end)
    path = output / journal.NAME

    os.set_blocking(terminal, False)

    def waits() -> bool:
        with contextlib.suppress(BlockingIOError):
            os.read(terminal, 1 << 16)  # or the launcher would wait for the terminal
        return (project / "began").exists() and len(journal.read(path).results) == 2

    fake.wait_for(waits)
    os.close(terminal)
    assert child.wait(60) == 143
    read = journal.read(path)
    assert (len(read.results), read.not_run) == (2, ["signals.stuck"])
    assert fake.well_formed(output / "junit.xml")
    assert fake.processes_of(output) == []


@pytest.mark.parametrize(
    "words",
    [["-p", "no:junitxml"], ["--no-such-option"], ["--assert=plain"]],
    ids=["no_junit", "unknown", "plain"],
)
def test_words_that_pytest_refuses_are_wrong_usage(tmp_path: Path, words: list[str]) -> None:
    """pytest's own 4 would say that this kernel cannot be tested."""
    project = fake.make(tmp_path / "p", preset=fake.HELD)
    asked = f"request = Request(pytest_arguments={words}, "
    code = fake.LAUNCH.replace("request = Request(", asked)
    done = subprocess.run(
        [sys.executable, "-c", code, str(project), str(tmp_path / "out"), "8", "0", "10"],
        env=fake.environ(),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 64, done.stdout + done.stderr
    assert "Error: pytest refuses what it was given" in done.stderr
    assert "othing" not in done.stdout + done.stderr


@pytest.mark.skipif(obstacles.preflight() is not None, reason="there is no KVM to race on")
@pytest.mark.usefixtures("own_processors")
def test_a_soak_that_cannot_judge_accuses_nobody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Too short for a control, here by a guest that leaves KVM_RUN by itself: no verdict."""
    what = ["--guest", "port_io", "--delivery", "thread", "--shape", "apart"]
    output = tmp_path / "results"
    assert (
        main(
            ["soak", "--for", "1s", *what, "--protocol", "handler_writes", "--output", str(output)]
        )
        == Exit.SUITE_ERROR
    )
    said = capsys.readouterr()
    assert "Error: no verdict on handler_writes: no control could run" in said.err
    assert "handler_writes: inconclusive: " in said.out
    assert list(tally.lines(output / JOURNAL))[-1]["exit"] == 70
