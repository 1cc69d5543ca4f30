# SPDX-License-Identifier: GPL-2.0-only
"""Each option of each command with words that nobody means: a sentence, and never a wrong success.

The options are asked of the commands themselves, so a new one is held too. What is accepted goes as
far as the machine, which is played, or as the KVM, of which this host is said to have none.
"""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import click
import pytest

from harness.host import obstacles
from harness.host.obstacles import Obstacle
from lab.emulation import kernel
from lab.emulation import launch as emulated
from lab.emulation.arch import Foreign
from lab.launch import run as launched
from lab.launch.exit_codes import Exit
from lab.launch.output_folder import nearest
from lab.launch.stopping import StoppedError
from lab.mutation import catalogue as mutants
from lab.mutation import source
from lab.sweep import run as swept
from tests.fakes import project as fake
from tools import matrix, mutate
from tools.cli import cli, main

ACCEPTED = Exit.LOST_VM
READ_MUTANTS = mutants.read  # before it is played
#: What a command cannot do without.
NEEDED = {"soak": ["--for", "1s"], "plot": ["folder"]}
LONG = "9" * 5000
NUMBERS = ["nan", "inf", "-inf", "1e400", "-1", "9" * 30, LONG, "1e9", "0x10"]
NAMES = ["a\nb", "\x1b[2J", "x" * 300, "../" * 2000, "*", "none", "none/below"]
FILES = ["fifo", "link", "file", "file/below", "folder", "/", "/dev/full", "/dev/zero"]
NOT_UTF8 = "a\udcff"
HOSTILE = ["", NOT_UTF8, *NUMBERS, *NAMES, *FILES]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with all that names above can stand for; no test waits for ever in it."""
    monkeypatch.setenv("KVM_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "place"
    (place / "folder").mkdir(parents=True)
    (place / "file").write_text("mine\n")
    (place / "journal.jsonl").write_text("mine\n")
    (place / "link").symlink_to("nowhere/at/all")
    os.mkfifo(place / "fifo")
    monkeypatch.chdir(place)
    before = signal.signal(signal.SIGALRM, _late)
    signal.alarm(100)
    yield place
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@functools.cache
def every_mutant() -> dict[str, mutants.Mutant]:
    """The catalogue, which takes a second to read."""
    return READ_MUTANTS()


def _late(*_: object) -> NoReturn:
    raise AssertionError("it still waited")


@pytest.fixture
def played(played_programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything up to the machine; and this host has no KVM."""
    made = SimpleNamespace(
        name="played", release="6.99", image=Path("/x"), is_realtime=False, label="x"
    )
    real = kernel.find

    def find(
        spec: str,
        cache: Path | None = None,
        say: kernel.Say = print,
        foreign: Foreign | None = None,
    ) -> object:
        known = spec.startswith(("default", "debian:"))
        return made if known else real(spec, cache, say, foreign)

    def accept(*_: object, **__: object) -> Exit:
        return ACCEPTED

    def stop(*_: object) -> NoReturn:
        raise StoppedError(signal.SIGTERM)

    monkeypatch.setattr(kernel, "find", find)
    monkeypatch.setattr(mutants, "read", lambda ways: every_mutant())
    monkeypatch.setattr(source, "of_debian", lambda spec, say, foreign: find(spec))
    monkeypatch.setattr(obstacles, "preflight", lambda: Obstacle("no_device", "None.", "None."))
    for module in (launched, emulated, matrix, mutate):
        monkeypatch.setattr(module, "_launch", accept)
    monkeypatch.setattr(swept, "_clear", stop)


def parameters() -> Iterator[Any]:
    """Each option and argument with a value."""
    for name in cli.list_commands(None):
        command = cli.get_command(None, name)
        for each in command.params:
            if not getattr(each, "is_flag", False) and not isinstance(each.type, click.Choice):
                yield pytest.param(name, each, id=f"{name}-{each.name}")


def ended(command: str, parameter: click.Parameter, word: str) -> int:
    words = [*NEEDED.get(command, [])]
    if isinstance(parameter, click.Argument):
        words = [word]
    else:
        words = [*words, f"{parameter.opts[0]}={word}"]
    return main([command, *words])


@pytest.mark.usefixtures("played")
@pytest.mark.parametrize(("command", "parameter"), list(parameters()))
def test_hostile_words(
    command: str, parameter: click.Parameter, capfd: pytest.CaptureFixture[str]
) -> None:
    for word in HOSTILE:
        code = ended(command, parameter, word)
        said = capfd.readouterr().err
        case = f"{parameter.opts[0]}={word[:40]!r}: {code}\n{said[-1500:]}"
        assert "Traceback" not in said, case
        assert "defect" not in said, case
        assert code not in (Exit.HELD, Exit.FAILED), case
        is_path = isinstance(parameter.type, click.Path)
        is_number = isinstance(parameter.type, (click.types.IntParamType, click.FloatRange))
        if word == NOT_UTF8 or (is_path and not word):
            assert code == Exit.USAGE, case
        if is_number and (word in NUMBERS or not word):
            assert code in (Exit.USAGE, Exit.SUITE_ERROR), case
    assert Path("journal.jsonl").read_text() == Path("file").read_text() == "mine\n"


def test_a_current_folder_that_is_not_utf8_or_gone(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / NOT_UTF8).mkdir()
    monkeypatch.chdir(place / NOT_UTF8)
    assert main(["run"]) == Exit.USAGE
    assert r"a\udcff' is not UTF-8" in capsys.readouterr().err
    (place / NOT_UTF8).rmdir()
    assert main(["claims"]) == Exit.HELD
    assert nearest(Path("/there")) == "/there/"


@pytest.mark.parametrize("columns", ["1", "-5", "nan", "9" * 30])
def test_a_width_that_no_terminal_has(monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["claims"]) == Exit.HELD


@pytest.mark.parametrize(
    ("word", "why"),
    [
        ("--results=", "the path is empty"),
        ("--results=/dev/full", "--results: cannot write /dev/full: File exists"),
        ("--results=../link/x", "--results: cannot write"),
        ("--plan=", "the path is empty"),
        ("--stop-after=nan", "--stop-after: a number of seconds from 0 up"),
        ("--budget=nan", "'nan' is no number of kicks"),
    ],
)
def test_words_for_plain_pytest(place: Path, word: str, why: str) -> None:
    project = fake.ROOT if word.startswith("--budget") else fake.make(place / "p", preset=fake.HELD)
    done = fake.pytest_run(project, "suites/preset", word)
    assert why in done.stderr, done.stdout + done.stderr
    assert done.returncode == 4
    assert not list(place.glob("p/journal*"))
