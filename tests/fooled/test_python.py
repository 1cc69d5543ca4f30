# SPDX-License-Identifier: GPL-2.0-only
"""Python's variables and foreign packages act before a line of this project runs.

The commands that the set-up wrote get none of them, nor do their children; and a Python that cannot
start ends with 70, not with its own 1.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.fakes import project as fake
from tools import plain_pytest
from tools.cli import main

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
CLAIMS = (str(BIN / "kvm-conformance"), "claims", "--chapter", "preset")
LISTED = (str(BIN / "kvm-conformance"), "run", "--list", "--claim", "preset.repeats")

HOSTILE = {
    "PYTHONPATH": "foreign",
    "PYTHONHOME": "/nowhere",
    "PYTHONPLATLIBDIR": "nowhere",
    "PYTHONHASHSEED": "abc",
    "PYTHONIOENCODING": "bogus",
    "PYTHONUTF8": "7",
    "PYTHONMALLOC": "bogus",
    "PYTHONTRACEMALLOC": "bogus",
    "PYTHONINTMAXSTRDIGITS": "5",
    "PYTHONOPTIMIZE": "2",
    "PYTHONWARNINGS": "error",
    "PYTHONINSPECT": "1",
    "PYTHONSTARTUP": "foreign/tools/__init__.py",
    "PYTHONUSERBASE": "foreign",
    "PYTHONSAFEPATH": "1",
    "PYTHONVERBOSE": "2",
    "PYTHONPROFILEIMPORTTIME": "1",
}


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, full of packages that end whoever imports them with 0."""
    for name in ("tools", "harness", "click", "pytest", "sitecustomize", "usercustomize"):
        for place in (tmp_path / name, tmp_path / "foreign" / name):
            place.mkdir(parents=True)
            (place / "__init__.py").write_text("import os\nos._exit(0)\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start(
    words: tuple[str, ...], cwd: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    kept = {name: word for name, word in os.environ.items() if not name.startswith("PY")}
    return subprocess.run(
        words,
        cwd=cwd,
        env={**kept, "COLUMNS": "80", **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.usefixtures("foreign")
@pytest.mark.parametrize("name", HOSTILE)
def test_no_variable_of_python_is_obeyed(name: str) -> None:
    done = start(CLAIMS, **{name: HOSTILE[name]})
    assert done.stderr == f"Not handed on to Python: {name}.\n"
    assert "preset.repeats" in done.stdout
    assert done.returncode == 0


def test_nor_one_of_bash(foreign: Path) -> None:
    (foreign / "ends").write_text("exit 1\n")
    done = start(CLAIMS, BASH_ENV=str(foreign / "ends"), ENV=str(foreign / "ends"), SHELLOPTS="x")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("foreign")
def test_children_get_none_either() -> None:
    done = start(LISTED, **HOSTILE)
    assert (done.returncode, done.stdout) == (0, start(LISTED).stdout)
    assert "preset.repeats" in done.stdout


@pytest.mark.parametrize("name", ["pytest", "py.test"])
@pytest.mark.usefixtures("foreign")
def test_plain_pytest_and_its_workers(tmp_path: Path, name: str) -> None:
    project = fake.make(tmp_path / "p", preset=fake.FAILED)
    done = start((str(BIN / name), "-n1", "suites"), cwd=project, **HOSTILE)
    assert "VERDICT     FAILED" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 1


def played(folder: Path, python: str) -> str:
    """The command with another Python; the path to it."""
    (folder / "python").write_text(f"#!/bin/sh\n{python}\n")
    (folder / "python").chmod(0o755)
    text = (BIN / "kvm-conformance").read_text().replace(str(BIN), str(folder))
    (folder / "command").write_text(text)
    (folder / "command").chmod(0o755)
    return str(folder / "command")


@pytest.mark.parametrize("ending", ["exit 1", "exit 120", "kill -SEGV $$", "exec /nowhere"])
def test_a_python_that_cannot_start_accuses_nobody(tmp_path: Path, ending: str) -> None:
    done = start((played(tmp_path, ending), "run"))
    assert done.returncode == 70
    wanted = f"{tmp_path}/python cannot load kvm-conformance, see above. Run `make setup`."
    assert wanted in done.stderr


def test_a_signal_to_it_alone_while_python_is_tried(tmp_path: Path) -> None:
    command = played(tmp_path, f"touch {tmp_path}/began; sleep 1")
    started = subprocess.Popen(["/usr/bin/env", "--default-signal=INT", command])
    fake.wait_for((tmp_path / "began").exists)
    started.send_signal(signal.SIGINT)
    assert started.wait(30) == 130


# ---- plain pytest outside of its session


def in_shell(script: str, project: Path) -> subprocess.CompletedProcess[str]:
    """A script with `"$@"`, which is plain pytest on the project."""
    words = ("bash", "-c", script, "bash", str(BIN / "pytest"), "-p", "no:cacheprovider", "-q")
    return start(words, cwd=project)


WRITE = 'echo "def test_x(): assert {}" >x.py'


@pytest.mark.parametrize(
    ("script", "said", "code"),
    [
        ('"$@" >&-', "standard output cannot be written: it is closed", 73),
        ('ulimit -n 8; "$@"', "Too many open files", 70),
        ('ulimit -v 30000; "$@"', "cannot load pytest", 70),
        (f'{WRITE.format(0)}; "$@" --noconftest x.py', "ends with 1, but no verdict", 70),
        (f'{WRITE.format(1)}; "$@" --noconftest x.py', "ends with 0, but no verdict", 70),
        ('echo "import sys; sys.exit(1)" >>conftest.py; "$@"', "SystemExit(1)", 70),
        ('echo "import sys; sys.exit(0)" >>conftest.py; "$@"', "SystemExit(0)", 70),
    ],
)
def test_a_one_of_python_or_pytest_accuses_nobody(
    tmp_path: Path, script: str, said: str, code: int
) -> None:
    done = in_shell(script, fake.make(tmp_path / "p", preset=fake.HELD))
    assert said in done.stderr, done.stdout + done.stderr
    assert done.returncode == code


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_failure_that_nobody_reads_is_one(tmp_path: Path, workers: str) -> None:
    done = in_shell(f'"$@" -n{workers} >&-', fake.make(tmp_path / "p", preset=fake.FAILED))
    assert done.returncode == 1, done.stderr


def test_a_failure_of_the_projects_own_tests_is_one(tmp_path: Path) -> None:
    project = fake.make(tmp_path / "p", preset=fake.HELD)
    (project / "tests").mkdir()
    (project / "tests/test_own.py").write_text("def test_own():\n    assert 0\n")
    assert in_shell('"$@" tests', project).returncode == 1


def test_no_folder_for_temporary_files(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", list)
    for command in (plain_pytest.main, lambda: main(["run"]), lambda: main(["run", "--list"])):
        assert command() == 73
        assert "no temporary file can be made: No usable" in capsys.readouterr().err


def test_a_variable_for_the_completion_of_shells_runs_what_was_typed() -> None:
    done = start(CLAIMS, _KVM_CONFORMANCE_COMPLETE="bash_source")
    assert (done.returncode, done.stdout) == (0, start(CLAIMS).stdout)
