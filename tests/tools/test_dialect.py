# SPDX-License-Identifier: GPL-2.0-only
"""`--dialect`: what a caller reads by exit code and standard output, whatever came of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tap.parser import Parser

from harness.host.obstacles import preflight
from lab.launch.exit_codes import Exit
from lab.results.dialects import DIALECTS
from tests.fakes import programs
from tests.fakes import project as fake
from tests.fakes.broken_kvm.library import build
from tools import dialect

COMMAND = (sys.executable, "-m", "tools.cli")
ON_STDOUT = [name for name, each in DIALECTS.items() if each.on_standard_output]
SAYS_NOTHING = set(Exit) - {Exit.HELD, Exit.FAILED}

#: What is told of a kernel that is not there, or first of what this host lacks to boot one.
NO_KERNEL = "missing on this host" if programs.why_not("emulation") else "/none/vmlinuz"

obstacle = preflight()
needs_kvm = pytest.mark.skipif(obstacle is not None, reason=str(obstacle))
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="no git")


def start(*words: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words],
        cwd=cwd,
        env=fake.environ(**more),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


# ---- exit codes


def test_git_blames_a_commit_for_a_failed_claim_only() -> None:
    codes = {ours: DIALECTS["bisect"].code(ours) for ours in Exit}
    blamed = {ours for ours, code in codes.items() if 0 < code < 128 and code != 125}
    assert blamed == {Exit.FAILED}
    assert {ours for ours, code in codes.items() if code == 0} == {Exit.HELD}
    # An interrupted bisection stops; it does not go on with the next commit.
    assert {ours for ours, code in codes.items() if code >= 128} == {Exit.SIGINT, Exit.SIGTERM}
    assert DIALECTS["bisect"].code(2) == 125  # of Python or click, should one ever come through


@pytest.mark.parametrize(("name", "skip"), [("kselftest", 4), ("autopkgtest", 77), ("pytest", 5)])
def test_a_skip_is_where_nothing_was_tested(name: str, skip: int) -> None:
    codes = {ours: DIALECTS[name].code(ours) for ours in Exit}
    assert {ours for ours, code in codes.items() if code == skip} == {Exit.NOTHING_TESTED}
    assert {ours for ours, code in codes.items() if code == 0} == {Exit.HELD}
    assert codes[Exit.FAILED] == 1


def test_kselftest_reads_no_expected_failure() -> None:
    """Its runner takes 2 and 3 for XFAIL and XPASS, and each is no failure."""
    assert {DIALECTS["kselftest"].code(ours) for ours in range(256)} == {0, 1, 4}


def test_lava_goes_on_where_the_results_were_told() -> None:
    codes = {ours: DIALECTS["lava"].code(ours) for ours in Exit}
    told = {ours for ours, code in codes.items() if code == 0}
    assert told == {Exit.HELD, Exit.FAILED, Exit.NOTHING_TESTED}


def test_tmt_is_told_by_the_file() -> None:
    assert [DIALECTS["tmt"].code(ours) for ours in Exit] == list(Exit)


# ---- before anything is parsed


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["run", "--dialect", "bisect"], "bisect"),
        (["run", "--dialect=lava", "--claim", "x"], "lava"),
        (["run", "--dialect", "lava", "--dialect", "bisect"], "bisect"),
        (["run", "--dialect"], ""),
        (["run", "--dialect", "cobol"], ""),
        (["run", "--", "--dialect", "bisect"], ""),
        ([], ""),
    ],
)
def test_asked(words: list[str], name: str) -> None:
    assert dialect.asked(words) == name


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["run", "--claim", "preset.repeat"], "preset.repeats"),
        (["run", "--clam", "x"], "--clam"),
        (["run", "--list"], "--list runs nothing"),
        (["run", "--require-kvm"], "of which nothing is known"),
        (["matrix"], "--dialect"),
        (["emulate", "--kernel", "/none/vmlinuz"], NO_KERNEL),
    ],
)
def test_what_never_ran_is_no_verdict(words: list[str], why: str, tmp_path: Path) -> None:
    done = start(*words, "--dialect", "bisect", cwd=tmp_path)
    assert (done.returncode, why in done.stderr) == (125, True), done.stderr


def test_help_is_no_success(tmp_path: Path) -> None:
    done = start("run", "--dialect", "bisect", "--help", cwd=tmp_path)
    assert done.returncode == 125
    assert "nothing was run" in done.stderr


def test_another_value_than_click_has(tmp_path: Path) -> None:
    """The value of an option before it looks like the name of one to a scan, and not to click."""
    done = start("run", "--output", "--dialect", "bisect", cwd=tmp_path)
    assert done.returncode == 125
    assert "write --dialect once" in done.stderr or "unexpected extra argument" in done.stderr


def test_an_unknown_one(tmp_path: Path) -> None:
    done = start("run", "--dialect", "cobol", cwd=tmp_path)
    assert done.returncode == 64
    assert "kselftest" in done.stderr


@pytest.mark.parametrize("name", ON_STDOUT)
def test_standard_output_tells_that_there_was_no_run(name: str, tmp_path: Path) -> None:
    done = start("run", "--dialect", name, "--claim", "none", cwd=tmp_path)
    assert "none" in done.stderr
    if name == "kselftest":
        assert done.returncode == 1
        results = [line for line in Parser().parse_text(done.stdout) if line.category == "test"]
        assert [line.ok for line in results] == [False]
        assert "code 64" in done.stdout
    else:
        assert done.returncode == 64
        assert done.stdout == "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=run.whole_1 RESULT=unknown>\n"


@pytest.mark.parametrize("folder", ["", "none"])
def test_tmt_without_its_folder(folder: str, tmp_path: Path) -> None:
    done = start("run", "--dialect", "tmt", cwd=tmp_path, TMT_TEST_DATA=folder)
    assert done.returncode == 64
    assert "$TMT_TEST_DATA" in done.stderr


def test_tmt_whose_file_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "results.json").mkdir()
    done = start("run", "--dialect", "tmt", cwd=tmp_path, TMT_TEST_DATA=str(tmp_path))
    assert done.returncode == 73
    assert "results.json cannot be written: Is a directory" in done.stderr


def test_standard_output_that_is_full(tmp_path: Path) -> None:
    """Wrong usage stays what it is; nobody is told a success."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*COMMAND, "run", "--dialect", "kselftest", "--claim", "none"],
            cwd=tmp_path,
            env=fake.environ(),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "defect" not in done.stderr


# ---- runs

ONE_CLAIM = ("--claim", "capability.layout", "--variants", "one", "--jobs", "0")


def run(name: str, folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    output = ("--output", str(folder / "results"))
    return start("run", "--dialect", name, *output, *(words or ONE_CLAIM), cwd=folder, **more)


def test_kselftest(tmp_path: Path) -> None:
    """Standard output is TAP, whatever the host can; the totals are the journal's."""
    done = run("kselftest", tmp_path)
    lines = list(Parser().parse_text(done.stdout))
    assert done.stdout.startswith("TAP version 13\n")
    assert {line.category for line in lines} <= {"version", "plan", "test", "diagnostic"}
    tests = [line for line in lines if line.category == "test"]
    assert tests
    skipped = {line.skip for line in tests}
    assert (done.returncode, skipped) in [(0, {False}), (4, {True})]
    assert "VERDICT" in done.stderr


def test_tmt(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text("of an earlier run")
    done = run("tmt", tmp_path, TMT_TEST_DATA=str(tmp_path))
    told = json.loads((tmp_path / "results.json").read_text())
    assert [each["name"] for each in told] == ["/capability/layout"]
    assert (done.returncode, told[0]["result"]) in [(0, "pass"), (4, "skip")]
    assert "VERDICT" in done.stdout


@needs_kvm
def test_a_broken_kvm(tmp_path: Path) -> None:
    environment = {"LD_PRELOAD": str(build(tmp_path)), "BROKEN_KVM": "wide_load"}
    done = run("kselftest", tmp_path, **environment)
    assert done.returncode == 1
    assert "\nnot ok " in done.stdout
    done = run("lava", tmp_path, **environment)
    assert done.returncode == 0
    assert "RESULT=fail" in done.stdout
    assert {line.partition(" ")[0] for line in done.stdout.splitlines()} == {
        "<LAVA_SIGNAL_TESTCASE"
    }


# ---- git bisect run

BISECT = """#!/bin/sh
# What stands in the file `kvm` is the KVM of this commit.
BROKEN_KVM=$(cat kvm) LD_PRELOAD=@LIBRARY@ exec @PYTHON@ -m tools.cli run --dialect bisect \\
    --claim @CLAIM@ --variants one --jobs 0 --output @OUTPUT@
"""


def bisect(folder: Path, kvms: list[str], claim: str) -> subprocess.CompletedProcess[str]:
    """`git bisect run` over commits with these KVMs, the first good and the last bad."""
    repository, script = folder / "linux", folder / "bisect.sh"
    repository.mkdir()
    words = {
        "@LIBRARY@": str(build(folder)),
        "@PYTHON@": sys.executable,
        "@CLAIM@": claim,
        "@OUTPUT@": str(folder / "results"),
    }
    text = BISECT
    for word, value in words.items():
        text = text.replace(word, value)
    script.write_text(text)
    script.chmod(0o755)
    nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    person = {
        f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }

    def git(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *arguments],
            cwd=repository,
            env=fake.environ(**nobody, **person),
            capture_output=True,
            text=True,
            timeout=300,
            check=check,
        )

    git("init", "-q")
    for number, kvm in enumerate(kvms):
        (repository / "kvm").write_text(kvm)
        (repository / "other").write_text(str(number))
        git("add", "-A")
        git("commit", "-q", "-m", f"commit {number}")
    git("bisect", "start", "HEAD", f"HEAD~{len(kvms) - 1}")
    return git("bisect", "run", str(script), check=False)


@needs_kvm
@needs_git
@pytest.mark.parametrize(("middle", "blamed"), [("wide_load", 1), ("", 2)], ids=["bad", "good"])
def test_git_finds_the_commit(tmp_path: Path, middle: str, blamed: int) -> None:
    done = bisect(tmp_path, ["", middle, "wide_load"], "capability.layout")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is the first bad commit" in done.stdout
    assert f"commit {blamed}" in done.stdout.partition("is the first bad commit")[2]


@needs_git
def test_git_blames_nobody_where_nothing_was_said(tmp_path: Path) -> None:
    done = bisect(tmp_path, ["", "", ""], "no.such_claim")
    assert done.returncode == 2, done.stdout + done.stderr
    assert "only 'skip'ped commits left" in done.stdout
