# SPDX-License-Identifier: GPL-2.0-only
"""Journals that contradict the run, themselves, or strict readers: none of them gives a verdict."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.reporting import journal
from harness.reporting.results import Result, TestOutcome
from lab.launch import finish, folder_lock
from tests.fakes import project as fake
from tools.screen.terminal import TERMINAL

#: What a sound run writes, line by line.
PLAN = {"preset.a": "preset.repeats", "preset.b": "preset.repeats"}


def a_result(name: str, outcome: TestOutcome = TestOutcome.PASSED, **more: object) -> Result:
    fields = {"claim": PLAN.get(name, "preset.repeats"), "message": "", "properties": {}, **more}
    return Result(
        id=name, outcome=outcome, phase="call", reason="", detail="", duration_s=0.1, worker="",
        time=journal.now(), **fields,  # type: ignore[arg-type]
    )  # fmt: skip


def lines_of(folder: Path, *results: Result, run: str = "mine", status: int = 0) -> list[str]:
    """The lines of a journal with these results."""
    with journal.Writer(folder / journal.NAME) as writer:
        writer.session({"kernel": "6.99.0"}, run)
        writer.planned(PLAN)
        for result in results:
            writer.start(result.id)
            writer.result(result)
        writer.end(status)
    return (folder / journal.NAME).read_text().splitlines()


BOTH = (a_result("preset.a"), a_result("preset.b"))


def finished(folder: Path, status: int = 0) -> int:
    return finish.finish(
        folder,
        TERMINAL,
        status=status,
        stopped_by=None,
        require_kvm=False,
        narrowed=True,
        run="mine",
    )


def test_a_sound_journal_gives_its_verdict(tmp_path: Path) -> None:
    lines_of(tmp_path, *BOTH)
    assert finished(tmp_path) == 0


FORGED = {
    "no_results": lambda lines: [*lines[:2], lines[-1]],
    "half_of_the_results": lambda lines: [*lines[:4], lines[-1]],
    "not_planned": lambda lines: [line.replace("preset.b", "preset.c") if '"result"' in line
                                  else line for line in lines],
    "another_claim": lambda lines: [line.replace("preset.repeats", "preset.fast")
                                    if '"result"' in line else line for line in lines],
    "two_sessions": lambda lines: [lines[0], *lines],
    "another_run": lambda lines: [lines[0].replace('"mine"', '"other"'), *lines[1:]],
    "results_after_the_end": lambda lines: [*lines[:5], lines[-1], *lines[5:-1]],
    "a_second_result": lambda lines: [*lines[:4], *lines[3:]],
    "no_plan": lambda lines: [lines[0], *lines[2:]],
    "a_second_plan": lambda lines: [*lines[:2], *lines[1:]],
    "no_session": lambda lines: lines[1:],
    "left_out_too_many": lambda lines: [
        *lines[:4], '{"event": "stopped_early", "after_s": 1, "left_out": 9}', lines[-1]],
    "no_number": lambda lines: [lines[0], lines[1].replace("{", '{"n": Infinity, ', 1),
                                *lines[2:]],
    "too_large": lambda lines: [line.replace('"duration_s": 0.1', '"duration_s": 1e999')
                                for line in lines],
    "nested": lambda lines: [lines[0], "[" * 100_000, *lines[1:]],
    "a_field_of_another_type": lambda lines: [line.replace('"id": "preset.b"', '"id": ["preset.b"]')
                                              for line in lines],
}  # fmt: skip


@pytest.mark.parametrize("how", FORGED)
def test_a_journal_that_contradicts_is_an_error(
    tmp_path: Path, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = FORGED[how](lines_of(tmp_path, *BOTH))
    (tmp_path / journal.NAME).write_text("".join(f"{line}\n" for line in lines))
    assert finished(tmp_path) == 70
    said = capsys.readouterr().err
    assert said.startswith("Error: ")
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("ended", "status"), [(0, 1), (0, -11), (0, 3), (1, 0), (5, 1), (0, 2)], ids=str
)
def test_pytest_and_its_journal_have_to_agree(tmp_path: Path, ended: int, status: int) -> None:
    lines_of(tmp_path, *BOTH, status=ended)
    assert finished(tmp_path, status) == 70


@pytest.mark.parametrize("outcome", [TestOutcome.FAILED, TestOutcome.ERROR])
def test_a_success_of_pytest_with_a_test_that_is_none(tmp_path: Path, outcome: TestOutcome) -> None:
    """A plugin that resets the exit status, or drops a report, settles nothing."""
    lines_of(tmp_path, BOTH[0], a_result("preset.b", outcome))
    assert finished(tmp_path) == 70


def test_a_failure_that_no_test_has(tmp_path: Path) -> None:
    lines_of(tmp_path, *BOTH, status=1)
    assert finished(tmp_path, 1) == 70


def test_junit_says_what_the_journal_says(tmp_path: Path) -> None:
    """An alarm found in the clean-up: to pytest an error of the suite, here a failure."""
    alarm = """
import pytest
@pytest.fixture
def watched():
    yield
    pytest.fail("the kernel raised an alarm during this test")
@pytest.mark.claim("preset.repeats")
def test_again(watched):
    pass
@pytest.mark.claim("preset.repeats")
def test_skipped():
    pytest.skip("because")
"""
    project = fake.make(tmp_path / "p", preset=alarm)
    child = fake.launcher(project, tmp_path / "out")
    output, errors = child.communicate(timeout=60)
    assert child.returncode == 1, output + errors
    words = {
        case.get("name"): [each.tag for each in case if each.tag != "properties"]
        for case in ElementTree.parse(tmp_path / "out" / "junit.xml").iter("testcase")
    }
    assert words == {"preset.again": ["failure"], "preset.skipped": ["error"]}


@pytest.mark.parametrize("workers", ["0", "2"], ids=["one_process", "workers"])
def test_a_skip_without_a_known_word_is_no_success_of_plain_pytest(
    tmp_path: Path, workers: str
) -> None:
    skips = fake.SKIPPED.replace("no_userfaultfd: ", "")
    project = fake.make(tmp_path, preset=fake.HELD, signals=skips)
    assert fake.pytest_run(project, f"-n{workers}").returncode == 70


@pytest.mark.parametrize("workers", ["0", "2"], ids=["one_process", "workers"])
def test_a_host_that_cannot_and_can_is_no_verdict(tmp_path: Path, workers: str) -> None:
    """As where one worker could make no VM, and the other one could."""
    skips = fake.SKIPPED.replace("no_userfaultfd", "no_vm")
    project = fake.make(tmp_path / "p", preset=fake.HELD, signals=skips)
    assert fake.pytest_run(project, f"-n{workers}").returncode == 70
    child = fake.launcher(project, tmp_path / "out", jobs=workers)
    said = "".join(child.communicate(timeout=60))
    assert child.returncode == 70, said
    assert "not judged  signals.slow_fault" in said


ANSWERS = """
import os
import pytest
from harness.kvm import offers
@pytest.mark.claim("preset.repeats")
@pytest.mark.parametrize("number", [1, 2], ids=["one", "two"])
def test_answer(number, record_property):
    offers.begin()
    offers.note("KVM_CAP_X", number)
    record_property(offers.ANSWERS, offers.said())
    if number == 2:
        pytest.skip("no_capability: " + str(os.getpid()))
"""


@pytest.mark.parametrize("workers", ["0", "2"], ids=["one_process", "workers"])
def test_a_kvm_that_answers_in_two_ways_is_no_verdict(tmp_path: Path, workers: str) -> None:
    project = fake.make(tmp_path / "p", preset=ANSWERS)
    child = fake.launcher(project, tmp_path / "out", jobs=workers)
    said = "".join(child.communicate(timeout=60))
    assert child.returncode == 70, said
    assert "this KVM said of KVM_CAP_X: 1 and 2, but here" in " ".join(said.split())


def test_values_that_are_no_json(tmp_path: Path) -> None:
    """What a test records may be anything; a strict reader takes the journal."""
    odd = {"inf": float("inf"), "nan": float("nan"), "path": tmp_path, 3: [float("-inf"), {"a": 1}]}
    lines = lines_of(tmp_path, a_result("preset.a", properties=odd), BOTH[1])

    def refuse(word: str) -> None:
        raise AssertionError(word)

    entries = [json.loads(line, parse_constant=refuse) for line in lines]
    recorded = entries[3]["properties"]
    assert recorded == {"inf": "inf", "nan": "nan", "path": str(tmp_path), "3": ["-inf", {"a": 1}]}
    assert finished(tmp_path) == 0


# ---- two runs with one folder


def test_a_second_run_is_refused(tmp_path: Path) -> None:
    project, output = (
        fake.make(tmp_path / "p", preset=fake.HELD, signals=fake.STUCK),
        tmp_path / "o",
    )
    first = fake.launcher(project, output)
    fake.wait_for((project / "began").exists)
    second = fake.launcher(project, output)
    said = second.communicate(timeout=60)[1]
    assert second.returncode == 73, said
    assert said == (
        f"Error: process {first.pid} writes its results to {output}: wait for it, or choose "
        "another --output.\n"
    )
    first.terminate()
    said = first.communicate(timeout=60)[1]
    assert first.returncode == 143, said
    assert len(journal.read(output / journal.NAME).results) == 2


def test_a_folder_is_free_when_its_run_was_killed(tmp_path: Path) -> None:
    held = (
        "import pathlib, sys, time\nfrom lab.launch import folder_lock\n"
        "with folder_lock.held(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n    time.sleep(60)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", held, str(tmp_path)], env=fake.environ(), stdout=subprocess.PIPE
    )
    assert child.stdout
    assert child.stdout.readline() == b"held\n"
    with (
        pytest.raises(folder_lock.HeldError, match=f"process {child.pid}"),
        folder_lock.held(tmp_path),
    ):
        pass
    child.kill()
    child.communicate()
    with folder_lock.held(tmp_path):
        pass


def test_a_plain_pytest_that_writes_to_the_folder_of_a_run(tmp_path: Path) -> None:
    """It knows no lock: the journal is then another run's, and the launcher says so."""
    project = fake.make(tmp_path / "p", preset=fake.HELD, signals=WAITS)
    output = tmp_path / "o"
    child = fake.launcher(project, output)
    fake.wait_for((project / "began").exists)
    fake.pytest_run(project, "suites/preset", f"--results={output}")
    (project / "go").touch()
    output_text, errors = child.communicate(timeout=60)
    assert child.returncode == 70, output_text + errors
    assert "Error: " in errors


WAITS = """
import pathlib, time
import pytest
@pytest.mark.claim("signals.no_restart")
def test_waits():
    pathlib.Path("began").touch()
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
"""
