# SPDX-License-Identifier: GPL-2.0-only
"""packaging/lava: the job by LAVA's schema, and the definition's steps as LAVA runs them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import installed
from tests.fakes.programs import need
from tests.packaging.place import PACKAGING

yaml = pytest.importorskip("yaml")
FOLDER = PACKAGING / "lava"
DEFINITION = FOLDER / "kvm-immediate-exit.yaml"
SCHEMAS = "/usr/lib/python3/dist-packages/lava_common/schemas"
#: What LAVA's server calls for a job that is submitted.
VALIDATE = "import sys, yaml, lava_common.schemas as s; s.validate(yaml.safe_load(sys.stdin))"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def validated(job: Any) -> subprocess.CompletedProcess[str]:
    """By LAVA's package, which is one of Debian's Python."""
    need(SCHEMAS)
    return subprocess.run(
        ["/usr/bin/python3", "-c", VALIDATE],
        input=yaml.safe_dump(job),
        capture_output=True,
        text=True,
        check=False,
    )


def test_lava_takes_the_job() -> None:
    done = validated(read(FOLDER / "job.yaml"))
    assert done.returncode == 0, done.stderr


def test_lava_refuses_what_is_wrong() -> None:
    job = read(FOLDER / "job.yaml")
    del job["timeouts"]
    assert "timeouts" in validated(job).stderr


def test_the_job_names_the_definition() -> None:
    (test,) = (each["test"] for each in read(FOLDER / "job.yaml")["actions"] if "test" in each)
    (named,) = test["definitions"]
    assert PACKAGING.parent / named["path"] == DEFINITION
    assert named["name"] == read(DEFINITION)["metadata"]["name"]
    assert set(named["parameters"]) <= set(read(DEFINITION)["params"])


@pytest.mark.parametrize("code", [0, 1])
def test_the_steps_run_as_a_script(code: int, tmp_path: Path) -> None:
    """LAVA writes the parameters as variables, then the steps, into one script of `set -e`."""
    of = installed.make(
        tmp_path / "bin", code, "echo '<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=x RESULT=pass>'"
    )
    definition = read(DEFINITION)
    lines = [f"{name}='{value}'" for name, value in definition["params"].items()]
    script = "\n".join(["set -e", *lines, "ARGS='--claim preset'", *definition["run"]["steps"]])
    done = subprocess.run(
        ["sh", "-c", script], env=of.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert done.stdout == "<LAVA_SIGNAL_TESTCASE TEST_CASE_ID=x RESULT=pass>\n", (
        "signals, and nothing else"
    )
    assert of.asked() == ["run", "--dialect", "lava", "--output", "./output", "--claim", "preset"]


def test_yamllint_takes_the_files() -> None:
    need("yamllint")
    rules = "{extends: default, rules: {line-length: {max: 100}, document-start: disable}}"
    done = subprocess.run(
        ["yamllint", "-s", "-d", rules, FOLDER], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
