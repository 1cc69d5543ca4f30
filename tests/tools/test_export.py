# SPDX-License-Identifier: GPL-2.0-only
"""`kvm-conformance export`: from a folder to a file, and what it refuses."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab.campaign import state
from lab.campaign.state import TaskRecord
from lab.launch import finish
from lab.launch.lost import LostVm
from lab.launch.request import ROOT
from lab.launch.speaker import Written
from lab.results.formats import FORMATS
from tests.lab.results import journals
from tools.cli import main

#: A command without CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH (capset(2), version 3).
WITHOUT_RIGHTS = """
import ctypes, sys
head, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
if ctypes.CDLL(None, use_errno=True).capset(head, none):
    sys.exit("capset: " + str(ctypes.get_errno()))
from tools.cli import main
sys.exit(main())
"""


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "results").mkdir()
    journals.write("broken", tmp_path / "results" / "journal.jsonl")
    return tmp_path / "results"


@pytest.mark.parametrize("wanted", FORMATS)
def test_every_format_is_written(wanted: str, results: Path, tmp_path: Path) -> None:
    file = tmp_path / "out"
    assert main(["export", str(results), "--format", wanted, "-o", str(file)]) == 0
    assert len(file.read_text(encoding="utf-8").splitlines()) > 5


def test_without_a_file_it_is_printed(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(results / "journal.jsonl"), "--format", "json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["suites"]) == 1


def test_of_several_runs_each_is_a_suite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kernel in ("6.1", "6.12"):
        (tmp_path / kernel).mkdir()
        journals.write("cut", tmp_path / kernel / "journal.jsonl")
    assert main(["export", str(tmp_path), "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)["suites"]
    assert [each["name"] for each in told] == ["6.1", "6.12"]
    assert all(each["counts"]["missed"] == 12 for each in told)
    assert main(["export", str(tmp_path), "--format", "ktap"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.startswith(" ")][1:] == [
        "1..2",
        "not ok 1 6.1",
        "not ok 2 6.12",
    ]


def test_what_cannot_be_exported(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*words: str) -> tuple[int, str]:
        code = main(["export", *words])
        return code, capsys.readouterr().err

    code, text = refused(str(tmp_path / "none"), "--format", "tap")
    assert code == 64
    assert "none' does not exist" in text
    assert refused("x" * 300, "--format", "tap")[0] == 64
    assert refused("", "--format", "tap")[0] == 64
    (tmp_path / "empty").mkdir()
    code, text = refused(str(tmp_path / "empty"), "--format", "tap")
    assert code == 70
    assert "has no journal.jsonl" in text
    code, text = refused(str(results), "--format", "cobol")
    assert code == 64
    (tmp_path / "empty" / "journal.jsonl").write_text('{"event": "session"}\nrubbish\n{}\n')
    code, text = refused(str(tmp_path / "empty"), "--format", "tap")
    assert code == 70
    assert "journal.jsonl, line" in text
    code, text = refused(str(results), "--format", "tap", "-o", str(tmp_path / "no" / "file"))
    assert code == 73
    assert "cannot be written" in text


@pytest.mark.parametrize("command", ["export --format tap", "report", "diff results", "baseline"])
@pytest.mark.parametrize("below", ["", "kernel"])
def test_a_folder_that_may_not_be_entered(
    command: str, below: str, results: Path, tmp_path: Path
) -> None:
    """Root may enter each: the command gets a process that has root's rights no more."""
    locked = tmp_path / "locked" / below
    shutil.copytree(results, locked)
    locked.chmod(0o644)
    words = [sys.executable, "-c", WITHOUT_RIGHTS, *command.split(), str(tmp_path / "locked")]
    done = subprocess.run(
        words,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    locked.chmod(0o755)
    assert "defect" not in done.stderr
    assert done.returncode == (70 if below else 64), done.stderr
    assert ("cannot be read" if below else "may not be entered") in done.stderr


def lines_of(kind: str, folder: Path) -> list[str]:
    """A journal's lines; the first is the session's, the last the end's."""
    return journals.write(kind, folder / "lines").read_text().splitlines(keepends=True)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("", "did not come to its end"),
        ('{"event": "end", "exit": 3}\n', "pytest's exit status is 3"),
    ],
)
def test_good_results_of_a_run_that_ended_badly(
    end: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    *lines, last = lines_of("sound", tmp_path)
    for name, text in (("before", last), ("after", end)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "journal.jsonl").write_text("".join([*lines, text]))
    assert main(["export", str(tmp_path / "after"), "--format", "json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)["suites"]
    assert told["counts"]["error"] == 1
    assert words in told["claims"][-1]["tests"][0]["message"]
    assert main(["diff", str(tmp_path / "before"), str(tmp_path / "after")]) == 1


def test_a_run_for_which_tests_were_left_out_is_not_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session, plan, *lines = lines_of("sound", tmp_path)
    plan = json.dumps({**json.loads(plan), "not_chosen": {"preset.more": journals.CLAIMS[0]}})
    (tmp_path / "journal.jsonl").write_text("".join([session, plan, "\n", *lines]))
    assert main(["export", str(tmp_path / "journal.jsonl"), "--format", "kselftest"]) == 0
    out = capsys.readouterr().out
    assert "24 of 25 tests were chosen" in out
    assert "not ok 25 run.whole_1 # ERROR" in out


@pytest.mark.parametrize(
    ("asked", "counts"),
    [("kvm.halt_poll_ns=0 quiet", {"error": 0}), ("kvm_amd.avic=1", {"error": 1, "passed": 0})],
)
def test_a_kernel_of_a_matrix_without_its_parameters(
    asked: str, counts: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session, *lines = lines_of("sound", tmp_path)
    told = json.loads(session)
    told["environment"]["parameters"] = "kvm.halt_poll_ns=0 kvm_amd.avic=N"
    (tmp_path / "k").mkdir()
    (tmp_path / "k/journal.jsonl").write_text("".join([json.dumps(told), "\n", *lines]))
    state.write(
        tmp_path / "k",
        TaskRecord({"kernel_parameters": asked}, "", "", "", "", 0, "", True, 1.0, ""),
    )
    assert main(["export", str(tmp_path), "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)["suites"][0]["counts"]
    assert {**found, **counts} == found


# ---- --export of the commands that run something


@pytest.mark.parametrize("command", ["run", "emulate", "matrix", "mutate"])
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("cobol=x", "'cobol' is none of ktap"),
        ("tap=", "names no file"),
        ("tap=none/x", "there is no folder none for x"),
    ],
)
def test_what_is_no_export(
    command: str, given: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--export", given]) == 64
    assert words in capsys.readouterr().err


def finished(kind: str, folder: Path, *exports: tuple[str, Path]) -> tuple[int, str]:
    """What is done when the pytest of one of the four runs is gone."""
    folder.mkdir()
    journals.write(kind, folder / "journal.jsonl")
    told = io.StringIO()
    code = finish.finish(
        folder,
        Written(told),
        status={"sound": 0, "broken": 1}.get(kind, -9),
        stopped_by=None,
        require_kvm=False,
        narrowed=False,
        exports=exports,
    )
    return code, told.getvalue()


@pytest.mark.parametrize(
    ("kind", "code", "missed"),
    [("sound", 0, 0), ("broken", 1, 0), ("cut", 1, 11), ("lost", 70, 24)],
)
def test_a_run_that_is_over_writes_them(kind: str, code: int, missed: int, tmp_path: Path) -> None:
    found = finished(kind, tmp_path / "out", ("json", tmp_path / "j"), ("tap", tmp_path / "t"))[0]
    assert found == code
    (told,) = json.loads((tmp_path / "j").read_text())["suites"]
    assert told["counts"]["missed"] == missed
    of_the_run = [claim for claim in told["claims"] if claim["name"] == "run"]
    assert bool(of_the_run) == (code == 70), "a run without a verdict says so as a whole, too"
    assert (tmp_path / "t").read_text().startswith("kvm_immediate_exit.tap ..")


def test_one_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    code, told = finished(
        "sound", tmp_path / "out", ("md", tmp_path / "no/file"), ("json", tmp_path / "j")
    )
    assert code == 73
    assert "no/file cannot be written" in told
    assert (tmp_path / "j").exists()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    code, told = finished("sound", tmp_path / "out", ("md", Path()), ("json", tmp_path / "j"))
    assert code == 73
    assert ". cannot be written: Is a directory" in told
    assert (tmp_path / "j").exists()


@pytest.mark.parametrize(("panic", "code"), [("Kernel panic - not syncing: x", 1), ("", 71)])
def test_a_machine_that_was_lost_behind_its_last_test(
    panic: str, code: int, tmp_path: Path
) -> None:
    """All results are good, and no file may say that all is."""
    (tmp_path / "journal.jsonl").write_text("".join(lines_of("sound", tmp_path)[:-1]))
    found = finish.finish(
        tmp_path,
        Written(io.StringIO()),
        status=-9,
        stopped_by=None,
        require_kvm=False,
        narrowed=False,
        lost=LostVm("the machine is gone", panic, ()),
        exports=(("junit", tmp_path / "exported.xml"), ("tap", tmp_path / "t")),
    )
    assert found == code
    assert 'errors="1"' in (tmp_path / "junit.xml").read_text()
    assert (tmp_path / "junit.xml").read_text() == (tmp_path / "exported.xml").read_text()
    assert f"# the machine is gone{panic and ': '}{panic}" in (tmp_path / "t").read_text()


# ---- folders of campaigns


def test_a_kernel_without_results_is_not_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "v6_1").mkdir()
    journals.write("sound", tmp_path / "v6_1" / "journal.jsonl")
    told = [
        {"label": "v6_1", "verdict": "held", "why": ""},
        {"label": "sid", "verdict": "absent", "why": "the archive does not answer"},
    ]
    (tmp_path / "matrix.json").write_text(json.dumps({"version": 1, "kernels": told}))
    assert main(["export", str(tmp_path), "--format", "json"]) == 0
    suites = json.loads(capsys.readouterr().out)["suites"]
    assert [suite["name"] for suite in suites] == ["v6_1", "sid"]
    (test,) = suites[1]["claims"][0]["tests"]
    assert (test["status"], test["message"]) == ("error", "absent: the archive does not answer")
    (tmp_path / "matrix.json").write_text("{")
    assert main(["export", str(tmp_path), "--format", "json"]) == 70
    assert "matrix.json" in capsys.readouterr().err


def test_a_mutation_is_its_mutants(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As `mutate --export` renders it, and `diff` reads it."""
    (tmp_path / "kernel" / "dropped").mkdir(parents=True)
    journals.write("broken", tmp_path / "kernel" / "dropped" / "journal.jsonl")
    mutant = {"id": "dropped", "outcome": "survived", "chapter": "races", "defect": "none"}
    kernels = [{"release": "6.1", "label": "6.1", "results": [mutant]}]
    (tmp_path / "mutate.json").write_text(json.dumps({"kernels": kernels}))
    assert main(["export", str(tmp_path), "--format", "lava"]) == 0
    assert capsys.readouterr().out == "dropped fail\n"
