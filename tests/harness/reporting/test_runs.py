# SPDX-License-Identifier: GPL-2.0-only
"""The reporting plugin in real pytest runs, with and without pytest-xdist."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.reporting import journal
from harness.reporting.results import TestOutcome
from tests.fakes import project as fake

both_ways = pytest.mark.parametrize("workers", ["0", "2"], ids=["one_process", "workers"])


def outcomes(folder: Path) -> dict[str, tuple[str, str]]:
    return {r.id: (r.outcome.value, r.claim) for r in journal.read(folder / journal.NAME).results}


@both_ways
def test_a_run_is_recorded(tmp_path: Path, workers: str) -> None:
    project = fake.make(tmp_path, preset=fake.HELD, preset__b=fake.FAILED, signals=fake.SKIPPED)
    done = fake.pytest_run(
        project, f"-n{workers}", f"--results={tmp_path / 'out'}", "--junitxml=junit.xml"
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert outcomes(tmp_path / "out") == {
        "preset.first_run.real": ("passed", "preset.returns_eintr"),
        "preset.first_run.long": ("passed", "preset.returns_eintr"),
        "preset.again": ("failed", "preset.repeats"),
        "signals.fault": ("skipped", "signals.slow_fault"),
    }
    read = journal.read(tmp_path / "out" / journal.NAME)
    assert read.planned == {name: claim for name, (_, claim) in outcomes(tmp_path / "out").items()}
    assert read.environment["kernel"] == "6.99.0"
    assert read.exit_status == 1
    failed = next(r for r in read.results if r.outcome is TestOutcome.FAILED)
    assert failed.message == "the 3rd KVM_RUN returned 0"
    assert "assert 0 == 4" in failed.detail
    assert done.stdout.rstrip().splitlines()[-1].startswith(("VERDICT", " " * 12))
    assert "\x1b" not in done.stdout
    cases = list(ElementTree.parse(project / "junit.xml").iter("testcase"))
    assert len(cases) == 4
    for case in cases:
        named = {p.get("name"): p.get("value") for p in case.iter("property")}
        assert named["kernel"] == "6.99.0"
        assert {"id", "claim"} <= set(named)


@both_ways
def test_all_skipped_is_no_success(tmp_path: Path, workers: str) -> None:
    project = fake.make(tmp_path, signals=fake.SKIPPED)
    assert fake.pytest_run(project, f"-n{workers}").returncode == 5
    assert fake.pytest_run(project, f"-n{workers}", "--require-kvm").returncode == 1


@pytest.mark.parametrize("place", ["call", "setup"])
def test_a_worker_that_dies_is_a_crash_with_its_claim(tmp_path: Path, place: str) -> None:
    text = """
        import os, pytest
        @pytest.fixture
        def world():
            if {place!r} == "setup":
                die()
        def die():
            with open(os.environ["KVM_CONFORMANCE_LAST_WORDS"], "a") as file:
                file.write("suites/x/test_x.py::test_x (call): of another test\\n")
                file.write(os.environ["PYTEST_CURRENT_TEST"] + ": the guest never came back\\n")
            os._exit(9)
        @pytest.mark.claim("signals.no_restart")
        def test_dies(world):
            die()
        @pytest.mark.claim("signals.mask_kicks")
        def test_lives():
            pass
    """.replace("\n        ", "\n").format(place=place)
    project = fake.make(tmp_path, signals=text)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n2", f"--results={tmp_path / 'out'}"],
        cwd=project,
        env=fake.environ(KVM_CONFORMANCE_LAST_WORDS=str(tmp_path / "last")),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert outcomes(tmp_path / "out")["signals.dies"] == ("crashed", "signals.no_restart")
    assert outcomes(tmp_path / "out")["signals.lives"] == ("passed", "signals.mask_kicks")
    assert "signals.dies: crashed: the guest never came back" in done.stdout


@both_ways
@pytest.mark.parametrize(
    ("exception", "phase", "outcome"),
    [
        ("AssertionError('a new WARN')", "teardown", "failed"),
        ("pytest.fail.Exception('a new WARN')", "teardown", "failed"),
        ("OSError('no memory')", "teardown", "error"),
        ("OSError('no memory')", "setup", "error"),
        ("OSError('no memory')", "call", "error"),
    ],
)
def test_failures_of_each_phase(
    tmp_path: Path, workers: str, exception: str, phase: str, outcome: str
) -> None:
    text = f"""
import pytest
def at(phase):
    if phase == {phase!r}:
        raise {exception}
@pytest.fixture
def world():
    at("setup")
    yield
    at("teardown")
@pytest.mark.claim("signals.no_restart")
def test_it(world):
    at("call")
"""
    project = fake.make(tmp_path, signals=text)
    fake.pytest_run(project, f"-n{workers}", "--results=out")
    assert outcomes(tmp_path / "out")["signals.it"][0] == outcome


@both_ways
@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('@pytest.mark.claim("preset.repeats")', "", "has one @pytest.mark.claim(ID), not 0"),
        ("preset.repeats", "preset.repeat", "preset.repeats"),
        ("preset.repeats", "signals.no_restart", "belongs to suites/signals"),
        ("preset.repeats", "preset", "not the id of one claim"),
        ("test_again()", "test_again(a=0, *, b=1)", ""),
        ("test_again", "test_first_run_real", ""),
        ("test_again", "test_1", "contain a letter"),
    ],
)
def test_rules_of_the_suites(tmp_path: Path, workers: str, old: str, new: str, why: str) -> None:
    project = fake.make(tmp_path, preset=fake.HELD, preset__b=fake.FAILED.replace(old, new))
    done = fake.pytest_run(project, f"-n{workers}", "--results=out")
    if why:
        assert why in done.stdout.replace("\n", " "), done.stdout
        assert done.returncode not in (0, 5)
        assert journal.read(tmp_path / "out" / journal.NAME).collection_errors


def test_two_tests_of_one_name(tmp_path: Path) -> None:
    project = fake.make(tmp_path, preset=fake.FAILED, preset__b=fake.FAILED)
    done = fake.pytest_run(project)
    assert "is also that of" in done.stdout
    assert done.returncode == 2


@both_ways
@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--claim", "preset.repeats"], 1),
        (["--claim", "preset", "--claim", "signals.*"], 4),
        (["--suite", "signals"], 1),
        (["--suite", "preset", "--claim", "*.returns_eintr"], 2),
        (["--claim", "races.window"], 0),
    ],
)
def test_choosing(tmp_path: Path, workers: str, arguments: list[str], count: int) -> None:
    project = fake.make(tmp_path, preset=fake.HELD, preset__b=fake.FAILED, signals=fake.SKIPPED)
    fake.pytest_run(project, f"-n{workers}", "--results=out", *arguments)
    assert len(outcomes(tmp_path / "out")) == count


@pytest.mark.parametrize("arguments", [["--claim", "preset.repeat"], ["--suite", "presets"]])
def test_an_unknown_choice_is_refused(tmp_path: Path, arguments: list[str]) -> None:
    done = fake.pytest_run(fake.make(tmp_path, preset=fake.HELD), *arguments)
    assert done.returncode == 4
    assert "Close: preset" in done.stderr
    assert "Traceback" not in done.stderr


def test_results_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = fake.pytest_run(
        fake.make(tmp_path / "p", preset=fake.HELD), f"--results={tmp_path / 'file' / 'below'}"
    )
    assert done.returncode == 4
    assert "cannot write" in done.stdout + done.stderr


def test_another_architectures_tests_do_not_run(tmp_path: Path) -> None:
    """Its folder is not even imported, for what it imports needs the other's headers."""
    project = fake.make(tmp_path, preset=fake.HELD)
    marked = fake.FAILED.replace("def test", '@pytest.mark.arch("s390x")\ndef test')
    (project / "suites/preset/test_b.py").write_text(marked)
    folder = project / "suites/preset/mips64"
    folder.mkdir()
    (folder / "test_c.py").write_text("import nothing_of_this_name\n" + fake.FAILED)
    done = fake.pytest_run(project, "--results=out")
    skipped = [
        (r.id, r.reason)
        for r in journal.read(project / "out" / journal.NAME).results
        if r.outcome is TestOutcome.SKIPPED
    ]
    assert skipped == [("preset.again", "other_architecture")]
    assert "nothing_of_this_name" not in done.stdout + done.stderr


def test_other_tests_are_left_alone(tmp_path: Path) -> None:
    project = fake.make(tmp_path, preset=fake.HELD)
    (project / "tests").mkdir()
    (project / "tests/test_own.py").write_text("def test_1(): pass\n")
    done = fake.pytest_run(project, "tests", "--claim", "preset.repeats")
    assert done.returncode == 0
    assert "VERDICT" not in done.stdout


@both_ways
def test_a_killed_run_leaves_a_readable_journal(tmp_path: Path, workers: str) -> None:
    project = fake.make(tmp_path, preset=fake.HELD, signals=fake.STUCK)
    child = subprocess.Popen(
        [sys.executable, "-m", "pytest", f"-n{workers}", "--results=out"],
        cwd=project,
        env=fake.environ(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    path = project / "out" / journal.NAME

    def only_the_stuck_one_is_left() -> bool:
        if not (project / "began").exists():
            return False
        read = journal.read(path)
        return len(read.results) == 2 and read.unfinished == ["signals.stuck"]

    fake.wait_for(only_the_stuck_one_is_left)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait(10)
    read = journal.read(path)
    assert read.unfinished == ["signals.stuck"]
    assert read.not_run == ["signals.stuck"]
    assert read.planned["signals.stuck"] == "signals.no_restart"
    assert read.exit_status is None


@both_ways
def test_what_a_test_records_stands_in_the_journal(tmp_path: Path, workers: str) -> None:
    """Counts and costs, without the environment that each line would repeat."""
    counted = """
import pytest
@pytest.mark.claim("preset.fast")
def test_cost(record_property):
    record_property("kicks", 100000)
"""
    project = fake.make(tmp_path, preset=counted)
    fake.pytest_run(project, f"-n{workers}", "--results=out")
    (result,) = journal.read(project / "out" / journal.NAME).results
    assert result.properties == {"kicks": 100000}
