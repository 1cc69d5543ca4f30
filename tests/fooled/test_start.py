# SPDX-License-Identifier: GPL-2.0-only
"""Ways to start pytest on the suites: from elsewhere, with other options, without parts of it.

None of them makes a verdict say more than what was tested, with the launcher or without.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.reporting import identity, journal
from lab.launch import run as launching
from lab.launch.request import Request
from tests.fakes import project as fake
from tests.fooled.test_selection import (
    DROPS,
    NO_VERDICT,
    ONE_OF_FOUR,
    REFUSED,
    ROOT,
    both_ways,
    launch,
    make,
    results,
    said,
)
from tools.screen.terminal import TERMINAL

# ---- another root, another configuration


@pytest.mark.parametrize(
    "arguments", [["--rootdir=.."], ["-c", "other.ini"], ["--rootdir=suites", "suites/preset"]]
)
def test_a_foreign_root_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    project = fake.make(tmp_path / "p", preset=fake.HELD)
    (project / "other.ini").write_text("[pytest]\n")
    done = fake.pytest_run(project, "suites", *arguments, "--results=out")
    assert done.returncode == REFUSED
    assert f"the suites run with {project / 'pytest.ini'} and --rootdir={project}" in said(done)
    assert not (project / "out").exists()


def test_a_parents_conftest_leaves_out_no_less(tmp_path: Path) -> None:
    project = make(tmp_path / "p")
    (tmp_path / "conftest.py").write_text(DROPS)
    done = fake.pytest_run(project, f"--confcutdir={tmp_path}")
    assert ONE_OF_FOUR in said(done)
    assert done.returncode == NO_VERDICT


@both_ways
def test_a_test_keeps_its_name_under_another_path(tmp_path: Path, workers: str) -> None:
    project = make(tmp_path)
    (project / "elsewhere").symlink_to("suites")
    done = fake.pytest_run(project, "elsewhere", f"-n{workers}", "--results=out")
    assert set(results(project / "out")) == {
        *(("preset.turn.a", "passed"), ("preset.turn.b", "passed"), ("preset.turn.c", "passed")),
        ("preset.more", "passed"),
    }
    assert "VERDICT held." in said(done)
    assert done.returncode == 0


def test_real_place_and_name(tmp_path: Path) -> None:
    project = make(tmp_path / "p")
    (tmp_path / "link").symlink_to(project / "suites/preset")
    path = tmp_path / "link/test_preset_b.py"
    assert identity.is_below_suites(path, project)
    assert not identity.is_below_suites(project / "conftest.py", project)
    found = identity.true_nodeid(path, "../link/test_preset_b.py::test_a[b::c]", project)
    assert found == "suites/preset/test_preset_b.py::test_a[b::c]"


# ---- no run at all


@pytest.mark.parametrize("option", ["--setup-plan", "--setup-only"])
def test_a_run_without_bodies_is_refused(tmp_path: Path, option: str) -> None:
    done = fake.pytest_run(fake.make(tmp_path, preset=fake.HELD), option)
    assert done.returncode == REFUSED
    assert "--setup-only and --setup-plan run no test" in said(done)


@pytest.mark.parametrize(
    "part", ["conformance-recorder", "harness.reporting.once", "harness.reporting.plan"]
)
def test_no_part_can_be_left_out(tmp_path: Path, part: str) -> None:
    done = fake.pytest_run(fake.make(tmp_path, preset=fake.HELD), "-p", f"no:{part}")
    assert done.returncode == REFUSED
    assert f"-p no:{part}: without it" in said(done)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["-p", "no:warnings"], "-p no:warnings: a thread of a test that dies"),
        (["-p", "no:threadexception"], "-p no:threadexception: a thread"),
        (["-p", "no:unraisableexception"], "-p no:unraisableexception: a thread"),
        (["-W", "ignore"], "PytestUnhandledThreadExceptionWarning is no error here"),
        (["-o", "filterwarnings=ignore"], "PytestUnhandledThreadExceptionWarning is no error"),
        (["-W", "ignore::pytest.PytestUnraisableExceptionWarning"], "Leave -W and -o filterwarn"),
        (["-p", "no:reports", "-n2"], "-p no:reports: without it no worker can tell"),
    ],
    ids=lambda each: "_".join(each) if isinstance(each, list) else "",
)
def test_what_pytest_must_do_itself_cannot_be_left_out(
    tmp_path: Path, words: list[str], why: str
) -> None:
    project = fake.make(tmp_path, preset=fake.HELD)
    done = fake.pytest_run(project, *words)
    assert done.returncode == REFUSED
    assert why in said(done)
    assert "Traceback" not in said(done)


@pytest.mark.parametrize(
    "words",
    [["-W", "error"], ["-W", "ignore::DeprecationWarning"], ["-p", "no:setuponly"]],
    ids=["error", "others", "setuponly"],
)
def test_what_changes_no_verdict_is_not_refused(tmp_path: Path, words: list[str]) -> None:
    assert fake.pytest_run(fake.make(tmp_path, preset=fake.HELD), *words).returncode == 0


@pytest.mark.parametrize("spec", ["ssh=other", "2*socket=127.0.0.1:9", "ssh=popen"])
def test_a_worker_on_another_machine_is_refused(tmp_path: Path, spec: str) -> None:
    project = fake.make(tmp_path, preset=fake.HELD)
    done = fake.pytest_run(project, "--dist=load", "--tx=popen", f"--tx={spec}")
    assert f"--tx={spec}: a worker on another machine would test" in said(done)
    assert done.returncode == REFUSED


def test_a_worker_that_tells_no_plan_gives_no_verdict(tmp_path: Path) -> None:
    """As one on another machine, or of another user: it cannot reach this process's files."""
    project = fake.make(tmp_path, preset=fake.HELD)
    (project / "fooling.py").write_text(
        "def pytest_sessionstart(session):\n"
        "    if hasattr(session.config, 'workerinput'):\n"
        "        session.config.workerinput['conformance_plan'] = '/proc/0/fd/0'\n"
    )
    words = ("--dist=load", f"--tx=2*popen//python={sys.executable}", "--results=out")
    assert fake.pytest_run(project, *words).returncode == 0
    done = fake.pytest_run(project, *words, "-p", "fooling")
    assert done.returncode == NO_VERDICT, done.stdout
    assert "VERDICT none." in said(done)
    troubles = journal.read(project / "out" / journal.NAME).collection_errors
    assert ("gw0", "a worker on another machine tells no plan") in troubles


def test_a_plan_that_cannot_be_written(tmp_path: Path) -> None:
    project = fake.make(tmp_path, preset=fake.HELD)
    for file, why in (("/dev/full", "No space left"), ("none/plan", "No such file")):
        done = fake.pytest_run(project, "--collect-only", f"--plan={file}")
        assert f"--plan: {file} cannot be written: {why}" in said(done)
        assert "Traceback" not in said(done)
        assert done.returncode == 73


@pytest.mark.parametrize("number", ["0", "-1", "many", "0s", "1.5s", "s", "1m"])
def test_so_many_sequences_cannot_be(number: str) -> None:
    done = fake.pytest_run(ROOT, f"--sequences={number}", "suites/explored")
    assert done.returncode == REFUSED
    assert f"--sequences: '{number}' is no number from 1 on" in said(done)


def test_the_whole_plugin_cannot_be_left_out() -> None:
    done = fake.pytest_run(ROOT, "-p", "no:harness.reporting.plugin", "suites/capability")
    assert done.returncode == REFUSED
    assert "without it there is no verdict" in said(done)


def test_the_verdict_needs_no_terminal_plugin(tmp_path: Path) -> None:
    done = fake.pytest_run(fake.make(tmp_path, preset=fake.HELD), "-p", "no:terminal")
    assert "VERDICT held." in said(done)


# ---- the launcher

MARK = 'import pytest\n@pytest.mark.claim("preset.repeats")\n'


def test_the_launcher_hands_no_options_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    project = make(tmp_path / "p")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k turn")
    monkeypatch.setenv("PYTEST_PLUGINS", "there_is_no_such_plugin")
    assert launch(project, tmp_path / "out") == 0
    assert len(results(tmp_path / "out")) == 4
    lines = capfd.readouterr().err.splitlines()
    assert lines == [
        "Not handed on to pytest: PYTEST_ADDOPTS, PYTEST_PLUGINS. Options for it follow `--`."
    ]
    assert "PYTEST_ADDOPTS" in os.environ


def test_the_launcher_takes_this_host_for_no_emulated_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Tests excuse more in one, which alone may say so."""
    names = ["KVM_CONFORMANCE_TIER", "KVM_CONFORMANCE_EMULATOR"]
    text = f"import os\ndef test_none():\n    assert not set(os.environ) & {set(names)}\n"
    project = fake.make(
        tmp_path / "p", preset=text.replace("def", f"{MARK}def"), signals=fake.SKIPPED
    )
    for name in names:
        monkeypatch.setenv(name, "emulated")
    assert launch(project, tmp_path / "out") == 0
    assert f"Not handed on to pytest: {', '.join(names)}." in capfd.readouterr().err


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_launcher_loads_no_plugin_because_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    installed = tmp_path / "installed"
    (installed / "fooling-1.dist-info").mkdir(parents=True)
    (installed / "fooling-1.dist-info/METADATA").write_text("Name: fooling\nVersion: 1\n")
    (installed / "fooling-1.dist-info/entry_points.txt").write_text("[pytest11]\nf = fooling\n")
    (installed / "fooling.py").write_text(DROPS)
    project = make(tmp_path / "p")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{installed}")
    done = subprocess.run(
        [sys.executable, "-m", "pytest"],
        cwd=project,
        env=fake.environ(PYTHONPATH=f"{ROOT}:{installed}"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ONE_OF_FOUR in said(done)
    request = Request(output=tmp_path / "out", jobs=workers)
    assert launching.launch(request, TERMINAL, narrowed=False, root=project) == 0
    assert len(results(tmp_path / "out")) == 4


def test_the_launcher_says_what_was_left_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    project = make(tmp_path / "p")
    assert launch(project, tmp_path / "out", "-k", "turn") == NO_VERDICT
    assert "No verdict on all that was asked for: 3 of 4 tests were chosen" in (
        capfd.readouterr().err
    )
    assert launch(project, tmp_path / "out", "--rootdir=/") == 64


def test_the_launcher_says_that_nothing_ran(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    project = make(tmp_path / "p")
    (project / "fooling.py").write_text("def pytest_runtestloop(session): return True")
    assert launch(project, tmp_path / "out", "-p", "fooling") == NO_VERDICT
    assert "Error: 4 planned tests did not run." in capfd.readouterr().err
