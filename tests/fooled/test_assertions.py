# SPDX-License-Identifier: GPL-2.0-only
"""Assertions that are stripped, or say nothing: such a run is refused, with a sentence."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from harness.reporting import asserting
from tests.fakes import project as fake

ROOT = Path(__file__).resolve().parents[2]
both_ways = pytest.mark.parametrize("workers", ["0", "2"], ids=["one_process", "workers"])

HELPED = """
import pytest
from suites.helper import require
@pytest.mark.claim("preset.repeats")
def test_again():
    require([1, 2, 3], [1, 2, 4])
"""
HELPER = "def require(found, wanted):\n    assert found == wanted\n"


def pytest_run(project: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=project,
        env=fake.environ(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@both_ways
@pytest.mark.parametrize("how", ["option", "variable"])
def test_optimized_python_is_refused(tmp_path: Path, workers: str, how: str) -> None:
    """`assert` in a helper would assert nothing: the suite that fails would hold."""
    project = fake.make(tmp_path, preset=fake.FAILED)
    words = ["-m", "pytest", f"-n{workers}", "--results=out"]
    if how == "option":
        done = pytest_run(project, "-O", *words)
    else:
        done = pytest_run(project, *words, PYTHONOPTIMIZE="1")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "leaves out every assertion" in done.stderr
    assert not (project / "out").exists()


def test_a_worker_that_is_optimized_alone(tmp_path: Path) -> None:
    project = fake.make(tmp_path, preset=fake.HELD)
    worker = f"--tx=popen//python={sys.executable} -O"
    done = pytest_run(project, "-m", "pytest", "--dist=load", worker, "--results=out")
    assert done.returncode not in (0, 5), done.stdout + done.stderr
    assert "leaves out every assertion" in done.stdout
    assert "VERDICT     held" not in done.stdout


def test_the_launcher_refuses_too(tmp_path: Path) -> None:
    project = fake.make(tmp_path / "p", preset=fake.HELD)
    words = [str(project), str(tmp_path / "out"), "8", "0", "10"]
    done = pytest_run(project, "-c", fake.LAUNCH, *words, PYTHONOPTIMIZE="1")
    assert done.returncode == 64
    assert done.stderr == f"Error: {asserting.OPTIMIZED}\n"


@pytest.mark.parametrize(
    "words", [["--assert=plain"], ["-p", "no:assertion"]], ids=["plain", "no_plugin"]
)
def test_assertions_without_words_are_refused(tmp_path: Path, words: list[str]) -> None:
    done = fake.pytest_run(fake.make(tmp_path, preset=fake.FAILED), *words)
    assert done.returncode == 4
    assert "their words are the verdict" in done.stderr


def test_an_assertion_of_a_helper_has_words(tmp_path: Path) -> None:
    project = fake.make(tmp_path, preset=HELPED)
    (project / "suites/helper.py").write_text(HELPER)
    done = fake.pytest_run(project)
    assert done.returncode == 1
    assert "preset.again: assert [1, 2, 3] == [1, 2, 4]" in done.stdout


def test_no_module_asserts_without_being_rewritten() -> None:
    """In the harness an assertion would be one that nobody rewrites, and a verdict without words.

    What the harness has to say about the kernel it raises.
    """
    asserting_alone = []
    for path in sorted([*(ROOT / "harness").rglob("*.py"), *(ROOT / "suites").rglob("*.py")]):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        rewritten = path.name.startswith(("test_", "conftest")) or any(
            name.startswith(f"{prefix}.") for prefix in asserting.REWRITTEN
        )
        # Machines of emulated hosts are booted by the tools, never by a test of the suites.
        if rewritten or name.startswith("lab.emulation."):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        lines = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
        asserting_alone += [f"{path}:{line}" for line in lines]
    assert asserting_alone == []
