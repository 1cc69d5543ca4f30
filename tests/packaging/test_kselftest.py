# SPDX-License-Identifier: GPL-2.0-only
"""packaging/kselftest, run by a kernel's own Makefile and run_kselftest.sh."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests import kernel_tools
from tests.fakes import installed
from tests.fakes.programs import need
from tests.packaging.place import PACKAGING

NAME = "kvm_immediate_exit"
TAP = "echo ok 1 preset.repeats.real; echo for people >&2"


@pytest.fixture
def selftests(tmp_path: Path) -> Path:
    """A copy of tools/testing/selftests with the folder in it."""
    top = kernel_tools.named("KSELFTEST", "tools/testing/selftests").parents[2]
    for name in kernel_tools.TAKEN:
        source, target = top / name, tmp_path / "linux" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    folder = tmp_path / "linux" / kernel_tools.SELFTESTS
    shutil.copytree(PACKAGING / "kselftest", folder / NAME)
    return folder


def run(*words: str | Path, of: installed.Installed, **more: str) -> list[str]:
    """What a command says, in lines."""
    done = subprocess.run(
        [str(word) for word in words],
        env=of.environment(**more),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("code", "result"),
    [
        (0, rf"ok 1 selftests: {NAME}: {NAME}\.sh"),
        (1, rf"not ok 1 selftests: {NAME}: {NAME}\.sh # exit=1"),
        (4, rf"ok 1 selftests: {NAME}: {NAME}\.sh # SKIP"),
    ],
    ids=["passed", "failed", "skipped"],
)
def test_the_kernels_makefile_runs_it(
    code: int, result: str, selftests: Path, tmp_path: Path
) -> None:
    of = installed.make(tmp_path / "bin", code, TAP)
    words = ["make", "-s", "-C", str(selftests), f"TARGETS={NAME}", "run_tests"]
    lines = run(*words, of=of, TMPDIR=str(tmp_path))
    assert [line for line in lines if re.match("(not )?ok ", line)] == [lines[-1]]
    assert re.fullmatch(result, lines[-1])
    assert "# ok 1 preset.repeats.real" in lines
    assert of.asked()[:3] == ["run", "--dialect", "kselftest"]


def test_run_kselftest_runs_what_was_installed(selftests: Path, tmp_path: Path) -> None:
    need("rsync")
    of = installed.make(tmp_path / "bin", 0, TAP)
    place = tmp_path / "installed"
    words = ["make", "-s", "-C", str(selftests), f"TARGETS={NAME}", "install"]
    run(*words, f"KSFT_INSTALL_PATH={place}", of=of)
    assert {"config", "settings", f"{NAME}.sh"} <= {path.name for path in (place / NAME).iterdir()}
    options = {f"KSELFTEST_{NAME.upper()}_SH_ARGS": "--claim preset", "TMPDIR": str(tmp_path)}
    lines = run(place / "run_kselftest.sh", "-c", NAME, of=of, **options)
    # Behind it newer ones print totals.
    told = [line for line in lines if re.match("(not )?ok ", line)]
    assert told == [f"ok 1 selftests: {NAME}: {NAME}.sh"]
    assert of.asked()[-2:] == ["--claim", "preset"]


def test_without_the_suite_it_is_a_skip(tmp_path: Path) -> None:
    done = subprocess.run(
        ["/bin/sh", PACKAGING / "kselftest" / f"{NAME}.sh"],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 4
    assert done.stdout.startswith("1..0 # SKIP kvm-conformance is not installed")


def test_the_runner_waits_longer_than_a_run_takes() -> None:
    """Its 45 s are less than a run; README.md says how long one is."""
    settings = (PACKAGING / "kselftest" / "settings").read_text()
    assert int(re.findall(r"(?m)^timeout=(\d+)$", settings)[0]) >= 600


def test_the_fragment_is_one_of_kconfig() -> None:
    lines = (PACKAGING / "kselftest" / "config").read_text().splitlines()
    options = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"CONFIG_[A-Z0-9_]+=y", line) for line in options)
    assert "CONFIG_KVM=y" in options
