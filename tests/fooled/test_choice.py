# SPDX-License-Identifier: GPL-2.0-only
"""Tests that nobody saw: dropped before they were made, all left out, or not there at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lab.launch import run as launching
from lab.launch.request import Request
from tests.fakes import project as fake
from tests.fooled.test_selection import (
    FOUR,
    NO_VERDICT,
    REFUSED,
    ROOT,
    both_ways,
    launch,
    make,
    said,
)
from tools.screen.terminal import TERMINAL

#: What drops variants while they are made, so that nobody has ever seen them.
CUTS = {
    "calls": """
import pytest
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_generate_tests(metafunc):
    yield
    del metafunc._calls[1:]
""",
    "items": """
import pytest
@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pycollect_makeitem(name):
    return (yield)[:1] if name.startswith("test_") else (yield)
""",
    "values": """
from _pytest.python import Metafunc
whole = Metafunc.parametrize
def parametrize(self, names, values, *more, **others):
    return whole(self, names, values[:1], *more, **others)
Metafunc.parametrize = parametrize
""",
}


@both_ways
@pytest.mark.parametrize("cut", CUTS)
def test_variants_that_were_never_made_are_missing(tmp_path: Path, workers: str, cut: str) -> None:
    """Of each function there are as many as its marks say, those of its file included."""
    text = FOUR.replace("test_turn(turn)", "test_turn(turn, mode)")
    of_file = 'import pytest\npytestmark = [pytest.mark.parametrize("mode", ["x", "y"])]'
    project = fake.make(tmp_path, preset=text.replace("import pytest", of_file))
    (project / "cuts.py").write_text(CUTS[cut])
    assert fake.pytest_run(project, f"-n{workers}").returncode == 0
    done = fake.pytest_run(project, f"-n{workers}", "-p", "cuts")
    assert "preset.repeats: 1 of 6 tests were chosen, 1 ran and held" in said(done)
    assert done.returncode == NO_VERDICT


@both_ways
@pytest.mark.parametrize(
    "arguments",
    [["-k", "nosuch"], ["--ignore-glob=*"], ["-o", "norecursedirs=*"], ["--deselect=suites"]],
    ids=["k", "ignore", "folders", "deselect"],
)
def test_a_choice_of_nothing_refutes_nothing(
    tmp_path: Path, workers: str, arguments: list[str]
) -> None:
    """Nor is it what a host without KVM has; with --require-kvm neither."""
    project = make(tmp_path / "p")
    for more in [], ["--require-kvm"]:
        done = fake.pytest_run(project, f"-n{workers}", *arguments, *more)
        assert "VERDICT none. Nothing was tested;" in said(done)
        assert done.returncode == NO_VERDICT
    for required in (False, True):
        request = Request(
            output=tmp_path / "out",
            jobs=workers,
            require_kvm=required,
            pytest_arguments=tuple(arguments),
        )
        code = launching.launch(request, TERMINAL, narrowed=False, root=project)
        assert code == NO_VERDICT


def test_errors_of_tests_refute_nothing(tmp_path: Path) -> None:
    """pytest's own status is 1 for them, and for failures outside of the suites."""
    project = fake.make(tmp_path, preset=fake.ERROR)
    assert fake.pytest_run(project).returncode == NO_VERDICT
    (project / "suites/preset/test_preset_one.py").write_text(fake.HELD)
    (project / "tests").mkdir()
    (project / "tests/test_own.py").write_text("def test_own(): assert False")
    assert fake.pytest_run(project, "suites", "tests").returncode == NO_VERDICT
    assert fake.pytest_run(project, "tests").returncode == 1


# ---- tests that are not there


def test_what_the_catalogue_promises_and_nobody_has_is_told(tmp_path: Path) -> None:
    project = fake.make(tmp_path, preset=fake.HELD)
    (project / "conftest.py").write_text(fake.PROMISES_ALL)
    done = fake.pytest_run(project, "--claim=preset.returns_eintr", "--claim=signals.no_restart")
    assert "not found signals: no_restart no test of theirs is below suites/" in said(done)
    assert "incomplete. 1 claim held so far. 1 claim has no test below suites/." in said(done)
    assert done.returncode == NO_VERDICT
    assert fake.pytest_run(project, "--claim=preset.returns_eintr").returncode == 0


def test_every_claim_of_this_project_has_its_tests_here() -> None:
    """The same in earnest: what is collected is all that the sources and the marks have."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"),
            *("-p", "tests.fakes.tells_the_rest"),
        ],
        cwd=ROOT,
        env=fake.environ(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    rest = "the rest: Rest(not_chosen={}, not_found=[]), 0 more by their marks"
    assert done.stdout.splitlines()[-1] == rest, done.stdout


def test_suites_that_are_gone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    project = fake.make(tmp_path / "p")
    done = fake.pytest_run(project)
    assert done.returncode == REFUSED
    assert "this checkout is not whole" in said(done)
    assert launch(project, tmp_path / "out") == NO_VERDICT
    assert "this checkout is not whole" in capfd.readouterr().err
    (project / "suites").mkdir()
    (project / "conftest.py").write_text(fake.PROMISES_ALL)
    assert "not found capability: reported" in said(fake.pytest_run(project, "suites"))
    assert launch(project, tmp_path / "out") == NO_VERDICT
    assert "claims have no test below suites/" in capfd.readouterr().err
