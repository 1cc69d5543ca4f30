# SPDX-License-Identifier: GPL-2.0-only
"""Bugs of released kernels: on which kernels, which tests find them, and what is no entry."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from harness.claims import MACHINES, CatalogueError, known_issues

ROOT = Path(__file__).resolve().parents[3]
ENTRY = """
[[issue]]
claim = "states.precedence"
commit = "74c1807f6c4f"
sentence = "It is wrong."
link = "https://git.kernel.org/linus/74c1807f6c4f"
since = "6.10"
until = "6.17"
tests = ["vcpu_states.x"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "issues.toml"
    path.write_text(ENTRY)
    return path


def explained(file: Path, kernel: str, **more: str) -> int:
    return len(known_issues.explaining({"kernel": kernel, **more}, file))


def test_an_issue_counts_for_the_kernels_that_have_it(file: Path) -> None:
    versions = ("6.1", "6.9", "6.10", "6.12", "6.17", "6.18", "7.2")
    found = {version: len(known_issues.of_version(version, file)) for version in versions}
    assert found == {"6.1": 0, "6.9": 0, "6.10": 1, "6.12": 1, "6.17": 1, "6.18": 0, "7.2": 0}
    assert known_issues.of_version("6.12", file)[0].describe() == (
        "1 test left out, for a bug of this kernel (74c1807f6c4f): It is wrong."
    )


def test_without_an_end_the_newest_kernel_has_it(file: Path) -> None:
    file.write_text(ENTRY.replace('until = "6.17"\n', ""))
    assert [explained(file, each) for each in ("6.9", "6.10", "7.2")] == [0, 1, 1]
    (issue,) = known_issues.of_version("7.2", file)
    assert "a known bug of Linux 6.10 and later, brought by" in issue.explain()


def test_an_issue_that_stable_kernels_lost_explains_and_leaves_nothing_out(file: Path) -> None:
    fixed = 'fixed = ["6.12.83", "6.18.24", "7.0.1"]\n'
    file.write_text(ENTRY.replace('"6.17"', '"7.0"') + fixed)
    assert known_issues.of_version("6.12", file) == ()
    has = ("6.12", "6.12.0", "6.12.82+deb13-amd64", "6.13.9", "6.18.23", "7.0.0")
    has_not = ("6.9.9", "6.12.83", "6.12.118", "6.18.44", "7.0.1", "7.1", "7.1.2")
    found = {each: explained(file, each) for each in (*has, *has_not)}
    assert found == {**dict.fromkeys(has, 1), **dict.fromkeys(has_not, 0)}
    (issue,) = known_issues.explaining({"kernel": "6.12"}, file).values()
    assert "and fixed in 6.12.83, 6.18.24, 7.0.1: It is wrong." in issue.explain()


def test_release_architecture_and_module_narrow_it(file: Path) -> None:
    file.write_text(f'{ENTRY}release = "*-rt-*"\narchitecture = "arm64"\nmodule = "kvm_amd"\n')
    rt = "6.12.0-rt-arm64"
    assert explained(file, rt) == 1  # silent on the other two: it may be
    assert explained(file, rt, architecture="aarch64", backend="kvm_amd+kvm_x") == 1
    assert explained(file, "6.12.0-arm64") == 0
    assert explained(file, rt, architecture="x86_64") == 0
    assert explained(file, rt, backend="kvm_intel") == 0
    assert known_issues.of_version("6.12", file) == ()  # which the version does not tell


@pytest.mark.parametrize("release", ["", "x", "6", "6.", "6." + "9" * 5000, "9" * 5000 + ".1"])
def test_a_release_that_is_none_explains_nothing(file: Path, release: str) -> None:
    assert explained(file, release) == 0


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ('since = "6.10"\n', "", "an issue has at least claim, commit, sentence, link, since"),
        ('until = "6.17"', 'until = ""', "'until' is empty"),
        ('["vcpu_states.x"]', "[]", "'tests' is empty"),
        ('["vcpu_states.x"]', '"vcpu_states.x"', "Expected `array`"),
        ('["vcpu_states.x"]', '["suites/x.py::test_x"]', "lists result ids"),
        ('["vcpu_states.x"]', '["a.b", "a.b"]', "names a test twice"),
        ('until = "6.17"', 'until = "6.17"\nwhy = "more"', "unknown key 'why'"),
        ('until = "6.17"', "until = 6.17", "Expected `str`"),
        ('"6.10"', '"six"', "'since' is a version such as 6.12, not 'six'"),
        ('"6.10"', '"6.18"', r"'since' \(6.18\) is later than 'until'"),
        ("states.precedence", "states.precedenc", "unknown claim 'states.precedenc'"),
        ("74c1807f6c4f", "HEAD", "12 to 40 hexadecimal digits"),
        ("It is wrong.", "It is wrong", "ends with a full stop"),
        ("https:", "javascript:", "begins with https://"),
        ('until = "6.17"', 'until = "6.17"\nfixed = ["6.12"]', "not '6.12'"),
        ('until = "6.17"', 'until = "6.17"\nfixed = ["6.1.3"]', "not among the kernels"),
        ('until = "6.17"', 'until = "6.17"\narchitecture = "vax"', "unknown architecture 'vax'"),
        ('until = "6.17"', 'until = "6.17"\nversion = -1', "counts from 1"),
    ],
)
def test_a_bad_entry_is_named(file: Path, old: str, new: str, why: str) -> None:
    file.write_text(ENTRY.replace(old, new))
    with pytest.raises(CatalogueError, match=rf"issues\.toml: issue 1 .*{why}"):
        known_issues.of_version("6.12", file)


def test_an_entry_that_stands_twice(file: Path) -> None:
    file.write_text(ENTRY + ENTRY)
    with pytest.raises(
        CatalogueError, match=r"issue 2 \(74c1807f6c4f\): issue 1 is of this commit"
    ):
        known_issues.read(file)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, file: Path) -> None:
    with pytest.raises(CatalogueError, match=r"none\.toml cannot be read: No such file"):
        known_issues.of_version("6.12", tmp_path / "none.toml")
    file.write_text("[[issue")
    with pytest.raises(CatalogueError, match=r"issues\.toml: it is no TOML"):
        known_issues.of_version("6.12", file)
    file.write_text("[[bug]]")
    with pytest.raises(CatalogueError, match=r"issues\.toml: unknown key 'bug'"):
        known_issues.of_version("6.12", file)


def test_the_list_names_tests_of_the_suites_and_their_claims(tmp_path: Path) -> None:
    """pytest says nothing of an id to leave out that names no test.

    Of another architecture they cannot be asked for here: its modes are not this one's.
    """
    here = MACHINES.get(platform.machine(), platform.machine())
    issues = [i for i in known_issues.read(known_issues.FILE) if i.architecture in ("", here)]
    named = {test: issue.claim for issue in issues for test in issue.tests}
    assert named
    folders = sorted({f"suites/{test.partition('.')[0]}" for test in named})
    plan = tmp_path / "plan"
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", f"--plan={plan}", *folders]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    there = dict(json.loads(plan.read_text()))
    assert {test: there.get(test) for test in named} == named


def test_the_list_names_functions_of_the_suites() -> None:
    """Of each architecture: the id of a result has the chapter, and the function's name."""
    for issue in known_issues.read(known_issues.FILE):
        for test in issue.tests:
            chapter, name = test.split(".")[:2]
            found = [
                path
                for path in (ROOT / "suites" / chapter).rglob("test_*.py")
                if f"def test_{name}(" in path.read_text()
            ]
            assert found, f"{test} is no test of the chapter {chapter}"
