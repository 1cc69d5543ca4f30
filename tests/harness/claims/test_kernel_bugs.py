# SPDX-License-Identifier: GPL-2.0-only
"""Bugs of released kernels: on which kernels, and which tests find them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.claims import CatalogueError, kernel_bugs

ROOT = Path(__file__).resolve().parents[3]
ENTRY = """
[[bug]]
commit = "74c1807f6c4f"
defect = "It is wrong."
since = "6.10"
until = "6.17"
tests = ["suites/x.py::test_x"]
"""


def test_a_bug_counts_for_the_kernels_that_have_it(tmp_path: Path) -> None:
    file = tmp_path / "bugs.toml"
    file.write_text(ENTRY)
    versions = ("6.1", "6.9", "6.10", "6.12", "6.17", "6.18", "7.2")
    found = {version: len(kernel_bugs.of_version(version, file)) for version in versions}
    assert found == {"6.1": 0, "6.9": 0, "6.10": 1, "6.12": 1, "6.17": 1, "6.18": 0, "7.2": 0}
    assert kernel_bugs.of_version("6.12", file)[0].describe() == (
        "1 test left out, for a bug of this kernel (74c1807f6c4f): It is wrong."
    )


def test_a_bug_that_stable_kernels_lost_explains_and_leaves_nothing_out(tmp_path: Path) -> None:
    file = tmp_path / "bugs.toml"
    file.write_text(ENTRY.replace('"6.17"', '"7.0"') + 'fixed = ["6.12.83", "6.18.24", "7.0.1"]\n')
    assert kernel_bugs.of_version("6.12", file) == ()
    has = ("6.12", "6.12.0", "6.12.82", "6.13.9", "6.18.23", "7.0.0")
    has_not = ("6.9.9", "6.12.83", "6.12.118", "6.18.44", "7.0.1", "7.1", "7.1.2")
    found = {each: len(kernel_bugs.explaining(each, file)) for each in (*has, *has_not)}
    assert found == {**dict.fromkeys(has, 1), **dict.fromkeys(has_not, 0)}
    assert "and fixed in 6.12.83, 6.18.24, 7.0.1: It is wrong." in (
        kernel_bugs.explaining("6.12", file)[0].explain()
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('until = "6.17"', ""),
        ('until = "6.17"', 'until = ""'),
        ('["suites/x.py::test_x"]', "[]"),
        ('["suites/x.py::test_x"]', '"suites/x.py::test_x"'),
        ('until = "6.17"', 'until = "6.17"\nwhy = "more"'),
        ('until = "6.17"', "until = 6.17"),
        ('["suites/x.py::test_x"]', "[1]"),
    ],
    ids=["missing", "empty", "no_tests", "text", "more", "number", "numbers"],
)
def test_an_entry_without_a_part_is_refused(tmp_path: Path, old: str, new: str) -> None:
    file = tmp_path / "bugs.toml"
    file.write_text(ENTRY.replace(old, new))
    with pytest.raises(CatalogueError, match="a bug has commit, defect, since, tests, until"):
        kernel_bugs.of_version("6.12", file)


def test_a_version_that_is_none(tmp_path: Path) -> None:
    file = tmp_path / "bugs.toml"
    file.write_text(ENTRY.replace('"6.10"', '"six"'))
    with pytest.raises(CatalogueError, match=r"'since' is a version such as 6\.12, not 'six'"):
        kernel_bugs.of_version("6.12", file)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "bugs.toml"
    with pytest.raises(CatalogueError, match=r"bugs\.toml: .*No such file"):
        kernel_bugs.of_version("6.12", file)
    file.write_text("[[bug")
    with pytest.raises(CatalogueError, match=r"bugs\.toml: "):
        kernel_bugs.of_version("6.12", file)


def test_the_tests_that_are_left_out_are_tests_of_the_suites() -> None:
    """pytest says nothing of an id to leave out that names no test."""
    named = [test for bug in kernel_bugs.explaining("6.12") for test in bug.tests]
    assert named
    files = {name.partition("::")[0] for name in named}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", *files]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(named) <= set(listed.splitlines())
