# SPDX-License-Identifier: GPL-2.0-only
"""packaging/debian, rpm and container: what their tools say without building, and no drift.

Building them takes minutes and other releases' packages: docs/packaging.md has the commands.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.fakes import installed
from tests.fakes.programs import need
from tests.house.files import ROOT
from tests.packaging.place import PACKAGING, of_environment

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SPEC = PACKAGING / "rpm" / "kvm-immediate-exit-conformance.spec"
CONTROL = PACKAGING / "debian" / "control"
#: Debian's package of a Python package where its name has not the usual form.
DEBIAN = {"junit-xml": "python3-junit.xml", "cffi": "python3-cffi-backend"}
#: What only an older Python than Debian 13's needs.
OLDER = {"tomli"}


def text_of(*words: str | Path) -> str:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_package_has_the_projects_version() -> None:
    changelog = (PACKAGING / "debian" / "changelog").read_text()
    assert changelog.startswith(f"{PROJECT['name']} ({PROJECT['version']}) ")
    assert re.findall(r"(?m)^Version: +(\S+)$", SPEC.read_text()) == [PROJECT["version"]]
    assert re.findall(r"(?m)^Name: +(\S+)$", SPEC.read_text()) == [PROJECT["name"]]


def test_the_container_has_what_a_run_requires() -> None:
    """Debian's and RPM's tools read the requirements from the wheel; nobody does so there."""
    last_stage = (PACKAGING / "container" / "Containerfile").read_text().rpartition("\nFROM ")[2]
    wanted = {Requirement(each).name for each in PROJECT["dependencies"]} - OLDER
    named = set(re.findall(r"python3-[\w.-]+", last_stage))
    assert named == {DEBIAN.get(name, f"python3-{name}") for name in wanted}


def test_hadolint_finds_nothing(tmp_path: Path) -> None:
    file = PACKAGING / "container" / "Containerfile"
    hadolint = of_environment("hadolint")
    assert text_of(hadolint, "--no-color", file) == ""
    wrong = tmp_path / "Containerfile"
    wrong.write_text(file.read_text().replace('["run"]', "run"))
    done = subprocess.run([hadolint, wrong], capture_output=True, text=True, check=False)
    assert "DL3025" in done.stdout, "it does see what is wrong"


def test_rpm_takes_the_spec() -> None:
    need("rpmbuild")
    parsed = text_of("rpmspec", "-P", SPEC)
    assert f"kvm-immediate-exit-conformance-{PROJECT['version']}.tar.gz" in parsed
    assert "PREFIX=/usr PYTHON=" in parsed, "every macro has a value"


def test_rpmlint_finds_nothing() -> None:
    need("rpmlint")
    told = text_of("rpmlint", "-c", SPEC.with_name("rpmlint.toml"), SPEC)
    assert " 0 errors, 0 warnings," in told, told


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Sources with debian/ at the top, whose tests have no package to install."""
    folder = tmp_path / "source"
    shutil.copytree(PACKAGING / "debian", folder / "debian")
    control = folder / "debian" / "tests" / "control"
    stanzas = re.sub(r"(?m)^Depends: @.*$", "Depends:", control.read_text())
    control.write_text(re.sub(r"isolation-machine, |needs-root, ", "", stanzas))
    return folder


@pytest.mark.parametrize(
    ("name", "code", "ends"), [("hardware", 0, 0), ("hardware", 77, 8), ("emulated", 1, 4)]
)
def test_autopkgtest_takes_it(name: str, code: int, ends: int, tree: Path, tmp_path: Path) -> None:
    """Its codes: 0 passed, 4 a test failed, 8 none ran."""
    need("autopkgtest")
    of = installed.make(tmp_path / "bin", code, "echo for people >&2")
    done = subprocess.run(
        # Of PATH it hands nothing on by itself.
        [
            *("autopkgtest", "-B", f"--test-name={name}", f"--env=PATH={of.environment()['PATH']}"),
            *(tree, "--", "null"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == ends, done.stdout + done.stderr
    command = {"hardware": "run", "emulated": "emulate"}[name]
    assert of.asked()[:3] == [command, "--dialect", "autopkgtest"]
