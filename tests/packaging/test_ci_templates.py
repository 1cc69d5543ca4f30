# SPDX-License-Identifier: GPL-2.0-only
"""What GitHub and GitLab take: by their own schemas, and each script with what it may meet."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import installed
from tests.packaging.place import PACKAGING, of_environment

yaml = pytest.importorskip("yaml")
ACTION = PACKAGING / "github" / "action.yml"
WORKFLOW = PACKAGING / "github" / "example-workflow.yml"
GITLAB = PACKAGING / "gitlab" / "kvm-conformance.gitlab-ci.yml"
SCHEMAS = {ACTION: "github-actions", WORKFLOW: "github-workflows", GITLAB: "gitlab-ci"}


def held_against(schema: str, text: str, file: Path) -> subprocess.CompletedProcess[str]:
    """A job whose name has a dot in front is a template, of which GitLab's schema says nothing."""
    file.write_text(text.replace("\n.kvm-conformance:", "\nconformance:"))
    words = [of_environment("check-jsonschema"), "--builtin-schema", f"vendor.{schema}", file]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("file", SCHEMAS, ids=lambda file: file.name)
def test_its_schema_takes_it(file: Path, tmp_path: Path) -> None:
    done = held_against(SCHEMAS[file], file.read_text(), tmp_path / file.name)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", SCHEMAS, ids=lambda file: file.name)
def test_its_schema_refuses_what_is_wrong(file: Path, tmp_path: Path) -> None:
    wrong = (
        file.read_text()
        .replace("using: composite", "using: nothing")
        .replace("runs-on:", "run-on:")
        .replace("when: always", "when: ever")
    )
    assert held_against(SCHEMAS[file], wrong, tmp_path / file.name).returncode == 1


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_the_workflow_gives_what_the_action_takes() -> None:
    steps = read(WORKFLOW)["jobs"]["immediate-exit"]["steps"]
    (step,) = (each for each in steps if "packaging/github" in each["uses"])
    assert set(step["with"]) <= set(read(ACTION)["inputs"])


def test_no_input_is_part_of_a_script() -> None:
    """Whoever names an argument would write the script."""
    assert all("${{" not in step["run"] for step in read(ACTION)["runs"]["steps"])


@pytest.mark.parametrize(("code", "ends"), [(0, 0), (1, 1), (4, 0), (70, 70)])
def test_the_action_judges_by_the_exit_code(code: int, ends: int, tmp_path: Path) -> None:
    of = installed.make(tmp_path / "bin", code, "echo '# Verdict' >results.md")
    (step,) = (each for each in read(ACTION)["runs"]["steps"] if each.get("id") == "judge")
    given = {"COMMAND": "run", "ARGUMENTS": "--claim $(id)", "RESULTS": "results"}
    files = {"GITHUB_OUTPUT": tmp_path / "output", "GITHUB_STEP_SUMMARY": tmp_path / "summary"}
    assert set(given) == set(step["env"])
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        env=of.environment(**given, **{name: str(path) for name, path in files.items()}),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ends, done.stderr
    assert files["GITHUB_OUTPUT"].read_text() == f"code={code}\n"
    assert files["GITHUB_STEP_SUMMARY"].read_text() == "# Verdict\n"
    assert of.asked()[-2:] == ["--claim", "$(id)"], "words, and no program"
    assert ("::notice::" in done.stdout) == (code == 4)


@pytest.mark.parametrize("code", [0, 1, 4])
def test_gitlabs_job_ends_as_the_suite(code: int, tmp_path: Path) -> None:
    """GitLab itself takes 4 for a job that may fail."""
    of = installed.make(tmp_path / "bin", code)
    job = read(GITLAB)[".kvm-conformance"]
    given = {**job["variables"], "KVM_CONFORMANCE_PACKAGE": "", "KVM_CONFORMANCE_ARGS": "--jobs 2"}
    done = subprocess.run(
        ["sh", "-ec", "\n".join(job["script"])], env=of.environment(**given), check=False
    )
    assert done.returncode == code
    assert job["allow_failure"]["exit_codes"] == 4
    results = job["artifacts"]["paths"][0].rstrip("/")
    assert of.asked() == ["run", "--output", results, "--jobs", "2"]
    assert job["artifacts"]["reports"]["junit"] == f"{results}/junit.xml"
