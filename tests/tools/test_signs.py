# SPDX-License-Identifier: GPL-2.0-only
"""Signs of life: when one is due, what it tells, and that each command gives them."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from harness import signs
from harness.reporting import alive, journal
from harness.reporting.results import Result, TestOutcome
from harness.reporting.standing import Follower, Standing
from harness.signs import Signs
from lab.emulation import cache
from tests.fakes import machine as fake_machine
from tests.fakes import project as fake

#: Says that it began, and ends when it is told to.
WAITS = """
import os, pathlib, time
import pytest
@pytest.mark.claim("signals.no_restart")
def test_waits():
    pathlib.Path("began").touch()
    while not os.path.exists("go"):
        time.sleep(0.01)
"""


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


# -------------------------------------------------------------------------------------------------
# When


def test_a_sign_is_due_when_nothing_was_said_for_long(clock: Clock) -> None:
    said: list[str] = []
    made = Signs(said.append, lambda: f"at {clock.now}", clock=clock)
    for clock.now in (1001, 1009.9, 1010, 1019.9, 1020):
        made.look()
    assert said == ["... 10 s: at 1010", "... 20 s: at 1020"]
    clock.now = 1029
    made.said()
    for clock.now in (1031, 1038.9, 1039):
        made.look()
    assert said[2:] == ["... 39 s: at 1039"]


def test_before_silence_a_sign_is_due_earlier(clock: Clock) -> None:
    said: list[str] = []
    made = Signs(said.append, lambda: "x", clock=clock)
    clock.now = 1003
    made.look(6)
    assert said == []
    made.look(7)
    assert said == ["... 3 s: x"]


def test_a_sign_that_nobody_reads_ends_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signs, "EVERY_S", 0.0)
    tried: list[str] = []

    def say(text: str) -> None:
        tried.append(text)
        raise BrokenPipeError

    Signs(say, lambda: "x").look()
    assert tried == ["... 0 s: x"]


def test_a_program_is_looked_at_until_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signs, "_TICK_S", 0.01)
    go = tmp_path / "go"
    words = ["/bin/sh", "-c", f"echo out; echo err >&2; until [ -e {go} ]; do :; done; exit 3"]
    looked: list[int] = []

    def look() -> None:
        looked.append(1)
        if len(looked) == 3:
            go.touch()

    done = signs.run(words, look)
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")
    assert len(looked) >= 3


def test_a_program_ends_with_whoever_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signs, "_TICK_S", 0.01)
    children: list[subprocess.Popen[str]] = []
    real = subprocess.Popen

    def started(*words: object, **more: object) -> subprocess.Popen[str]:
        children.append(real(*words, **more))  # type: ignore[call-overload]
        return children[0]

    def look() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", started)
    with pytest.raises(KeyboardInterrupt):
        signs.run(["sleep", "600"], look)
    assert children[0].returncode == -signal.SIGKILL


def test_waiting_for_another_process_gives_signs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signs, "EVERY_S", 0.0)
    other = (tmp_path / "lock").open("w")
    fcntl.flock(other, fcntl.LOCK_EX)
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if len(said) == 3:
            other.close()

    with cache.lock(tmp_path / "lock", say, "fetches it"):
        pass
    assert said[0] == "waiting for another process that fetches it"
    assert said[1].endswith(" s: still waiting for another process that fetches it")


# -------------------------------------------------------------------------------------------------
# What


def test_standing_names_the_oldest_first(clock: Clock) -> None:
    standing = Standing(clock)
    assert standing.describe() == "pytest starts and collects the tests"
    standing.planned = 9
    assert standing.describe() == "0 of 9 tests through"
    for clock.now, name in enumerate("fabcde", 1000):
        standing.start(name)
    standing.finish("a")
    clock.now = 1010
    assert standing.describe() == (
        "1 of 9 tests through, 5 running: f (10 s), b (8 s), c (7 s), d (6 s), 1 more"
    )


def result(name: str, outcome: TestOutcome) -> Result:
    return Result(name, "preset.repeats", outcome, "call", "", "", "", 0.0, "", journal.now())


def test_journal_is_followed_line_by_line(tmp_path: Path, clock: Clock) -> None:
    path = tmp_path / journal.NAME
    follower = Follower(path, clock)
    assert not follower.look()
    with journal.Writer(path) as writer:
        writer.planned({"preset.a": "preset.repeats", "preset.b": "preset.repeats"})
        writer.start("preset.a")
        assert follower.look()
        assert not follower.look()
        clock.now += 5
        assert follower.standing.describe() == "0 of 2 tests through, 1 running: preset.a (5 s)"
        writer.result(result("preset.a", TestOutcome.FAILED))
    whole = json.dumps({"event": "result", "id": "preset.b", "outcome": "passed"}).encode()
    with path.open("ab") as file:
        file.write(b'no line of a journal\n{"event": "result"}\n' + whole[:20])
    assert follower.look()
    assert follower.standing.reported == (2, 1)
    assert follower.standing.failed == 1
    with path.open("ab") as file:
        file.write(whole[20:] + b"\n" + b'{"event": "end", "exit": 1}\n')
    assert follower.look()
    assert follower.standing.reported == (2, 2)
    assert follower.standing.failed == 1
    assert follower.standing.ended


def test_journal_of_another_run_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / journal.NAME
    follower = Follower(path)
    with journal.Writer(path) as writer:
        writer.planned({"preset.a": "preset.repeats"})
        writer.result(result("preset.a", TestOutcome.PASSED))
    follower.look()
    with journal.Writer(path) as writer:
        writer.planned({"preset.b": "preset.repeats"})
    follower.look()
    assert follower.standing.reported == (1, 0)


# -------------------------------------------------------------------------------------------------
# Who


def until(stream: IO[str], words: str) -> str:
    """Reads up to the first line with these words; all that was read."""
    lines = []
    for line in iter(stream.readline, ""):
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError(f"{words!r} never came:\n{''.join(lines)}")


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """A sign that never comes fails the test."""
    seconds = 120
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGALRM))
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail(f"no sign in {seconds} s"))
    timer.start()
    yield
    timer.cancel()
    timer.join()
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("workers", ["0", "2"], ids=["one_process", "workers"])
def test_launcher_tells_what_runs(tmp_path: Path, workers: str) -> None:
    project = fake.make(tmp_path / "p", preset=fake.HELD, signals=WAITS)
    child = fake.launcher(project, tmp_path / "out", jobs=workers, signs_every=0.2)
    assert child.stderr
    said = until(child.stderr, "2 of 3 tests through, 1 running: signals.waits (")
    assert said.splitlines()[-1].startswith("  ... ")
    (project / "go").touch()
    output, errors = child.communicate(timeout=60)
    assert child.returncode == 0, output
    assert "..." not in errors.replace("  ... ", ""), "pytest's own lines go elsewhere"
    assert output.splitlines()[-1].startswith("VERDICT     held.")


@pytest.mark.parametrize("workers", ["0", "2"], ids=["one_process", "workers"])
def test_a_sign_begins_a_line_of_its_own(tmp_path: Path, workers: str) -> None:
    """Where both outputs go to one place, pytest's dots may stand in the last line."""
    project = fake.make(tmp_path / "p", preset=fake.HELD, signals=WAITS)
    child = subprocess.Popen(
        fake.launching(project, tmp_path / "out", jobs=workers, signs_every=0.2),
        env=fake.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert child.stdout
    said = until(child.stdout, "1 running: signals.waits (")
    (project / "go").touch()
    said += child.communicate(timeout=60)[0]
    told = [line for line in said.splitlines() if " tests through" in line]
    assert told
    assert all(line.startswith("  ... ") for line in told), said
    assert said.splitlines()[-1].startswith("VERDICT     held.")


def test_a_sign_does_not_delay_the_end_by_a_signal(tmp_path: Path) -> None:
    project = fake.make(tmp_path / "p", preset=fake.HELD, signals=WAITS)
    child = fake.launcher(project, tmp_path / "out", jobs="2", signs_every=0.2)
    assert child.stderr
    until(child.stderr, "1 running: signals.waits (")
    child.send_signal(signal.SIGINT)
    output, _ = child.communicate(timeout=60)
    assert child.returncode == 130, output
    assert fake.processes_of(tmp_path / "out") == []


EVERY = "from harness import signs\nsigns.EVERY_S = 0.2\n"


def plain(project: Path, *words: str) -> subprocess.Popen[str]:
    """Plain pytest with workers and frequent signs."""
    (project / "conftest.py").write_text(EVERY + fake.CONFTEST)
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n2", *words],
        cwd=project,
        env=fake.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_plain_pytest_tells_what_runs(tmp_path: Path) -> None:
    child = plain(fake.make(tmp_path / "p", preset=fake.HELD, signals=WAITS))
    assert child.stdout
    said = until(child.stdout, "2 of 3 tests through, 1 running: signals.waits (")
    assert said.splitlines()[-1].startswith("  ... "), said
    (tmp_path / "p" / "go").touch()
    output, errors = child.communicate(timeout=60)
    assert (child.returncode, errors) == (0, ""), output
    assert output.splitlines()[-1].startswith("VERDICT     held.")


@pytest.mark.parametrize("words", [["-q"], ["--no-signs"]])
def test_plain_pytest_is_quiet_where_it_is_told(tmp_path: Path, words: list[str]) -> None:
    text = WAITS.replace(
        '    while not os.path.exists("go"):\n        time.sleep(0.01)', "    time.sleep(2)"
    )
    output, _ = plain(fake.make(tmp_path / "p", signals=text), *words).communicate(timeout=60)
    assert "VERDICT     held." in output
    assert "  ... " not in output


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_no_thread_stands_beside_the_tests(tmp_path: Path, workers: str) -> None:
    text = WAITS.replace(
        '    while not os.path.exists("go"):\n        time.sleep(0.01)',
        "    import threading\n"
        f"    assert {alive.THREAD!r} not in [thread.name for thread in threading.enumerate()]",
    )
    done = fake.pytest_run(fake.make(tmp_path / "p", signals=text), workers)
    assert done.returncode == 0, done.stdout


@pytest.mark.usefixtures("played_programs")
@pytest.mark.parametrize(
    ("ending", "words"),
    [
        ("never_boots", " s: booting fake 6.99.0 (given up after 300 s)"),
        ("hangs", " s: 1 of 2 tests through, 1 running: preset.b ("),
    ],
)
def test_emulated_host(tmp_path: Path, ending: str, words: str) -> None:
    child = fake_machine.start_tool(ending, tmp_path / "out", signs_every_s=0.2)
    assert child.stderr
    until(child.stderr, words)
    child.send_signal(signal.SIGTERM)
    output, errors = child.communicate(timeout=60)
    assert child.returncode == 143, output + errors
    assert fake_machine.processes_of(tmp_path / "out") == []
