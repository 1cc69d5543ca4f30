# SPDX-License-Identifier: GPL-2.0-only
"""packaging/tmt, read and run by tmt."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.fakes import installed
from tests.fakes.programs import need
from tests.packaging.place import PACKAGING, of_environment

RESULTS = [{"name": "/", "result": "pass"}, {"name": "/preset.repeats", "result": "fail"}]


def tmt(*words: str, of: installed.Installed) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [of_environment("tmt"), "--root", PACKAGING / "tmt", *words],
        env=of.environment(NO_COLOR="1"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def played(tmp_path: Path) -> installed.Installed:
    """One that says in tmt's way that one claim held and one failed."""
    say = f"echo '{json.dumps(RESULTS)}' >\"$TMT_TEST_DATA/results.json\""
    return installed.make(tmp_path / "bin", 1, say)


def test_tmt_finds_nothing_to_complain_of(played: installed.Installed) -> None:
    done = tmt("lint", of=played)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"(?m)^(?:warn|fail) .*", done.stdout) == []
    for each in ("/plans/local", "/plans/connect", "/plans/virtual", "/tests/hardware"):
        assert f"{each}\n" in done.stdout


def test_tmt_runs_it_here(played: installed.Installed, tmp_path: Path) -> None:
    """The results are the suite's, and not made of its exit code. Without `prepare`: no network."""
    need("rsync")
    steps = ["discover", "provision", "execute", "report", "finish", "cleanup"]
    options = ["-i", str(tmp_path / "run"), "-e", f"KVM_CONFORMANCE={played.program}"]
    done = tmt(
        "--feeling-safe", "run", *options, *steps, "plan", "--name", "^/plans/local$", of=played
    )
    assert "total: 1 test passed and 1 test failed" in done.stdout + done.stderr
    assert done.returncode == 1
    assert played.asked()[:3] == ["run", "--dialect", "tmt"]
