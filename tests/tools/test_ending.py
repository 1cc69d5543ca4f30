# SPDX-License-Identifier: GPL-2.0-only
"""How a command ends where its output cannot be written, or something unforeseen is raised."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from harness.host.obstacles import preflight
from harness.kick import realtime
from harness.reporting import journal
from lab.launch.exit_codes import Exit, untold
from tests.fakes import project as fake
from tools import ending

COMMAND = (sys.executable, "-m", "tools.cli")

#: What may be wrong with a stream, and how the system says so.
WHY = {
    "full": "No space left on device",
    "closed": "it is closed",
    "no_reader": "Broken pipe",
}

all_ways = pytest.mark.parametrize("way", WHY)
buffering = pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])


def start(
    words: Sequence[object], way: str, stream: str, folder: Path, **more: str
) -> tuple[int, str]:
    """Its exit code, and what the other stream said. Temporary files go to the folder."""
    shell = {"stdout": '"$@" >&-', "stderr": '"$@" 2>&-'}[stream]
    started = ("bash", "-c", shell, "bash", *words) if way == "closed" else tuple(words)
    read, write = os.pipe()
    os.close(read)
    if way != "no_reader":
        os.close(write)
        write = os.open("/dev/full" if way == "full" else os.devnull, os.O_WRONLY)
    other = "stderr" if stream == "stdout" else "stdout"
    streams = {stream: write, other: subprocess.PIPE}
    try:
        done = subprocess.run(
            [str(word) for word in started],
            env=fake.environ(
                KVM_CONFORMANCE_CACHE=str(folder / "cache"), TMPDIR=str(folder), **more
            ),
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=120,
            check=False,
            **streams,  # type: ignore[call-overload]
        )
    finally:
        os.close(write)
    return done.returncode, getattr(done, other)


# ---- commands that need no KVM


@all_ways
@buffering
@pytest.mark.parametrize(
    "words",
    [["claims"], ["--help"], ["run", "--list", "--claim", "preset.repeats"], ["cache"]],
    ids=["claims", "help", "list", "cache"],
)
def test_what_cannot_be_told(tmp_path: Path, words: list[str], unbuffered: str, way: str) -> None:
    code, said = start([*COMMAND, *words], way, "stdout", tmp_path, PYTHONUNBUFFERED=unbuffered)
    assert code == 73
    assert f"Error: standard output cannot be written: {WHY[way]}.\n" in said
    assert "Traceback" not in said
    assert "Exception ignored" not in said


@all_ways
@buffering
def test_an_error_that_cannot_be_told_keeps_its_code(
    tmp_path: Path, unbuffered: str, way: str
) -> None:
    words = [*COMMAND, "claims", "--chapter", "nonsense"]
    assert start(words, way, "stderr", tmp_path, PYTHONUNBUFFERED=unbuffered) == (64, "")


@all_ways
def test_a_part_that_goes_to_standard_error(tmp_path: Path, way: str) -> None:
    """The list is on standard output, the number of tests on the other one."""
    words = [*COMMAND, "run", "--list", "--claim", "preset.repeats"]
    code, said = start(words, way, "stderr", tmp_path)
    assert code == 73
    assert "preset.repeats" in said


@all_ways
def test_a_stream_that_nobody_needed(tmp_path: Path, way: str) -> None:
    code, said = start([*COMMAND, "claims"], way, "stderr", tmp_path)
    assert code == 0
    assert "preset.repeats" in said


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_file_does_not_take_the_place_of_a_closed_stream(tmp_path: Path, stream: str) -> None:
    """Neither in the process nor in its children, which print to what they inherit."""
    file = tmp_path / "file"
    program = (
        "import os, subprocess, sys\n"
        "from tools import ending\n"
        "def command():\n"
        f"    with open({str(file)!r}, 'w') as mine:\n"
        f"        print('own words', file=sys.{stream})\n"
        "        subprocess.run(['sh', '-c', 'echo a child; echo a child >&2'], check=True)\n"
        "        mine.write(str(mine.fileno() > 2))\n"
        "    return 0\n"
        "sys.exit(ending.end_in_order(command))\n"
    )
    code, _ = start([sys.executable, "-c", program], "closed", stream, tmp_path)
    assert (code, file.read_text()) == (73, "True")


def test_codes_that_were_not_told() -> None:
    replaced = {code for code in Exit if untold(code) != code}
    assert replaced == {Exit.HELD, Exit.NOTHING_TESTED}
    assert {untold(code) for code in replaced} == {Exit.CANNOT_WRITE}


# ---- runs

FIRST_RUNS = {"first_run.real", "first_run.long"}


def run_unread(
    tmp_path: Path, suites: dict[str, str], way: str, jobs: str = "0", **more: str
) -> tuple[int, str, set[str]]:
    """A run's exit code, what it said on standard error, and the tests of its complete journal."""
    project, output = fake.make(tmp_path / "p", **suites), tmp_path / "out"
    words = fake.launching(project, output, jobs=jobs)
    code, said = start(words, way, "stdout", tmp_path, **more)
    assert f"standard output cannot be written: {WHY[way]}." in said
    assert "Traceback" not in said
    read = journal.read(output / journal.NAME)
    assert read.exit_status is not None
    assert read.not_run == []
    assert fake.well_formed(output / "junit.xml")
    assert fake.processes_of(output) == []
    return code, said, {result.id.partition(".")[2] for result in read.results}


@all_ways
@pytest.mark.parametrize(
    ("jobs", "unbuffered"),
    [("0", ""), ("0", "1"), ("2", "")],
    ids=["one_process", "unbuffered", "workers"],
)
def test_a_run_that_nobody_reads_is_complete(
    tmp_path: Path, jobs: str, unbuffered: str, way: str
) -> None:
    code, said, tests = run_unread(
        tmp_path, {"preset": fake.HELD}, way, jobs, PYTHONUNBUFFERED=unbuffered
    )
    assert (code, tests) == (73, FIRST_RUNS), said


@pytest.mark.parametrize(
    ("suites", "tests", "expected"),
    [
        ({"preset": fake.HELD, "preset__b": fake.FAILED}, {*FIRST_RUNS, "again"}, 1),
        ({"signals": fake.SKIPPED}, {"fault"}, 73),
        ({"preset": fake.HELD, "preset__b": fake.ERROR}, {*FIRST_RUNS, "again"}, 70),
    ],
    ids=["failed", "nothing_tested", "broken"],
)
def test_the_code_of_a_run_that_nobody_reads(
    tmp_path: Path, suites: dict[str, str], tests: set[str], expected: int
) -> None:
    code, said, found = run_unread(tmp_path, suites, "full")
    assert (code, found) == (expected, tests), said


#: Comes to its end when the reader has gone: else all that is written may be in the pipe before.
WAITS = """
import pathlib, time
import pytest
@pytest.mark.claim("preset.returns_eintr")
def test_first_run():
    end = time.monotonic() + 60
    while not pathlib.Path("gone").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
"""


def test_a_reader_that_goes_away_during_the_run(tmp_path: Path) -> None:
    """`kvm-conformance run | head -1`."""
    project = fake.make(tmp_path / "p", preset=WAITS)
    child = fake.launcher(project, tmp_path / "out")
    assert child.stdout is not None
    assert child.stderr is not None
    assert child.stdout.readline().startswith("Results go to")
    child.stdout.close()
    (project / "gone").touch()
    said = child.stderr.read()
    assert child.wait(timeout=60) == 73, said
    assert f"the results in {tmp_path / 'out'} are complete" in said
    assert journal.read(tmp_path / "out" / journal.NAME).exit_status == 0
    assert fake.well_formed(tmp_path / "out" / "junit.xml")


@pytest.mark.skipif(preflight() is not None, reason=f"{preflight()}")
@all_ways
@buffering
def test_measurements_that_nobody_reads_are_written(
    tmp_path: Path, unbuffered: str, way: str
) -> None:
    file = tmp_path / "bench.json"
    quick = ("--threads", "1", "--rounds", "1", "--batch-time", "1", "--output", file)
    code, said = start(
        [*COMMAND, "bench", *quick], way, "stdout", tmp_path, PYTHONUNBUFFERED=unbuffered
    )
    assert (code, said) == (73, f"Error: standard output cannot be written: {WHY[way]}.\n")
    assert json.loads(file.read_text())["complete"] is True


# ---- what is raised

RAISES = (
    "import sys\n"
    "from tools import cli, list_claims\n"
    "def broken():\n"
    "    raise {error}\n"
    "list_claims.catalogue = broken\n"
    "sys.exit(cli.main(['claims']))\n"
)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("ValueError('one\\ntwo')", "ValueError: one two"),
        ("BrokenPipeError(32, 'Broken pipe')", "RuntimeError: a pipe to another process"),
        ("OSError(28, 'No space left on device')", "[Errno 28] No space left on device"),
    ],
    ids=["value", "pipe", "disk"],
)
def test_what_nobody_expected(tmp_path: Path, error: str, told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RAISES.format(error=error)],
        env=fake.environ(TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (70, "")
    (line,) = done.stderr.splitlines()
    assert told in line
    (file,) = tmp_path.iterdir()
    assert line.endswith(f"; the traceback is in {file}.")
    assert "in broken" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_traceback_that_cannot_be_kept_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    def broken() -> int:
        raise ValueError("a defect")

    monkeypatch.setattr(ending.tempfile, "NamedTemporaryFile", full)
    assert ending.end_in_order(broken) == 70
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert said.endswith("ValueError: a defect; see the traceback above.\n")


NO_MEMORY = (
    "import sys\n"
    "from tools import ending\n"
    "def lacking(*words, **more):\n"
    "    raise MemoryError\n"
    "{replaced} = lacking\n"
    "sys.exit(ending.end_in_order(lacking))\n"
)


@pytest.mark.parametrize(
    ("replaced", "said"),
    [
        ("ending.tempfile.NamedTemporaryFile", "MemoryError; see the traceback above"),
        ("ending.traceback.format_exception", "it could not even tell why"),
        ("ending.click.echo", "it could not even tell why"),
        ("ending.output.kept", "it could not even tell why"),
    ],
)
def test_an_exception_while_one_is_told(tmp_path: Path, replaced: str, said: str) -> None:
    program = NO_MEMORY.format(replaced=replaced)
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=fake.environ(TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert said in done.stderr
    assert done.returncode == 70


def test_ctrl_c_outside_of_click() -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    assert ending.end_in_order(interrupted) == 130


BLOCKS = (
    "import os, signal, sys; "
    "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals()); "
    "signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
)
TELLS_MASK = """
import signal
import pytest
@pytest.mark.claim("signals.no_restart")
def test_mask():
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
    assert signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL
"""


@pytest.mark.parametrize("workers", ["0", "2"], ids=["one_process", "workers"])
@pytest.mark.parametrize("way", ["launcher", "pytest"])
def test_what_the_parent_blocks_or_ignores_is_not_inherited(
    tmp_path: Path, way: str, workers: str
) -> None:
    """A kick that the parent blocks would never come; of an ignored child nobody learns the end."""
    project = fake.make(tmp_path / "p", preset=fake.FAILED, signals=TELLS_MASK)
    words = {
        "launcher": fake.launching(project, tmp_path / "out", jobs=workers),
        "pytest": [sys.executable, "-m", "pytest", f"-n{workers}", f"--results={tmp_path / 'out'}"],
    }[way]
    done = subprocess.run(
        [sys.executable, "-c", BLOCKS, *words],
        cwd=project,
        env=fake.environ(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    results = journal.read(tmp_path / "out" / journal.NAME).results
    assert {r.outcome.value for r in results if r.claim == "signals.no_restart"} == {"passed"}


#: PR_SET_TIMERSLACK with a second; policy and flag in the first argument.
BENDS = (
    "import ctypes, os, sys; "
    "ctypes.CDLL(None).prctl(29, 10**9, 0, 0, 0); "
    "os.sched_setscheduler(0, int(sys.argv[1]), os.sched_param(sys.argv[1] != '0')); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)
TELLS_SCHEDULING = """
import ctypes, os, shutil
import pytest
@pytest.mark.claim("signals.no_restart")
def test_scheduling():
    assert os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK == os.SCHED_OTHER
    assert ctypes.CDLL(None).prctl(30, 0, 0, 0, 0) == 50_000
    assert shutil.get_terminal_size().columns == 400
"""
POLICIES = {
    "other": os.SCHED_OTHER,
    "fifo": os.SCHED_FIFO,
    "rr": os.SCHED_RR,
    "fifo_not_inherited": os.SCHED_FIFO | os.SCHED_RESET_ON_FORK,
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("way", ["launcher", "pytest"])
def test_the_parents_scheduling_and_width_are_not_kept(
    tmp_path: Path, way: str, policy: str
) -> None:
    """A guest that spins with a real-time policy keeps who ends it from the processor."""
    if policy != "other" and (why := realtime.obstacle(1)):
        pytest.skip(why)
    project, output = fake.make(tmp_path / "p", signals=TELLS_SCHEDULING), tmp_path / "out"
    words = {
        "launcher": fake.launching(project, output),
        "pytest": [sys.executable, "-m", "pytest", f"--results={output}"],
    }[way]
    done = subprocess.run(
        [sys.executable, "-c", BENDS, str(POLICIES[policy]), *words],
        cwd=project,
        env=fake.environ(COLUMNS="999999999"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    told = "Not kept: the real-time scheduling policy that this process was started with.\n"
    assert done.stderr.count(told) == (policy != "other")
    assert max(map(len, done.stdout.splitlines())) <= 400
