# SPDX-License-Identifier: GPL-2.0-only
"""`kvm-conformance explore`: what it accepts, and what it finds on this host and on played KVMs."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from harness.host import obstacles
from lab.exploration.files import Explored, FailedSequence
from lab.exploration.report import markdown, text
from lab.launch.exit_codes import Exit
from tests.fakes.broken_kvm.library import build
from tools.cli import main

ROOT = Path(__file__).resolve().parents[3]
OBSTACLE = obstacles.preflight()
needs_kvm = [
    pytest.mark.skipif(OBSTACLE is not None, reason=str(OBSTACLE)),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="other_architecture: x86-64 only"),
]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--for", "5"], "not a duration"),
        (["--seed", "-1"], "--seed"),
        (["--kvm-modules", "."], "give a --kernel"),
        (["--functions"], "give a --kernel"),
        (["--replay", "none/such"], "does not exist"),
        (["--output", ""], "the path is empty"),
    ],
)
def test_wrong_usage(words: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explore", *words]) == Exit.USAGE
    assert why in capsys.readouterr().err


@pytest.mark.skipif(platform.machine() != "x86_64", reason="other_architecture: x86-64 only")
@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "no JSON"),
        ('{"setting": {"irqchip": "none", "features": []}}', "done"),
        (
            '{"setting": {}, "done": [{"operation": "run", "arguments": {}}]}',
            "the operation run takes answer, refuse, thread, and not none",
        ),
        (
            '{"setting": {}, "done": [{"operation": "script", "arguments": {"steps": [["fly"]]}}]}',
            "steps cannot be",
        ),
    ],
)
def test_files_that_hold_no_sequence(
    tmp_path: Path, content: str, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sequence").write_text(content)
    assert main(["explore", "--replay", str(tmp_path / "sequence")]) == Exit.USAGE
    assert why in " ".join(capsys.readouterr().err.split())


def test_the_report() -> None:
    explored = Explored(
        [FailedSequence("preset.repeats", "Each run must \x1b[31mend.", "{}")],
        1234,
        {
            "operations": {"run": 3, "kick": 0},
            "pairs": {"run then run": 2},
            "states": {"halt": 3},
            "functions": {"svm_vcpu_run": 1, "svm_never\x1b": 0, "svm_halt": 0, "svm_x": 1},
            "functions of the suites": {"svm_vcpu_run": 1, "svm_never\x1b": 0, "svm_halt": 1},
        },
        ended=True,
    )
    assert "Entered: 2 of 4 functions" in text(explored, Path("/x"))
    assert "The suites entered 2 of them." in text(explored, Path("/x"))
    coverage = markdown(explored)
    assert (
        "Entered by the suites alone:\n\n- svm_halt\n\nEntered by neither:\n\n- svm_never\n"
        in coverage
    )
    for words in ("sequences and the suites", "sequences alone", "the suites alone", "neither"):
        assert f"| {words} | 1 |" in coverage
    said = text(explored, Path("/a folder"))
    assert "preset.repeats does not hold: Each run must" in said
    assert "\x1b" not in said
    assert "explore --replay '/a folder/sequence-1.json'" in said
    assert "1,234 sequences were played; 1 failed." in said
    assert "kvm-conformance reproduce '/a folder/sequence-1.json'" in said
    assert "1 of 2 operations, 1 of 4 pairs, 1 states" in said
    assert "Never: kick." in said
    assert "| run | 3 |" in markdown(explored)
    assert "- run then kick" in markdown(explored)


def explored(folder: Path, *words: str, defect: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KVM_CONFORMANCE_LAST_WORDS": str(folder / "last-words.txt")}
    if defect:
        environment |= {"LD_PRELOAD": str(build(folder)), "BROKEN_KVM": defect}
    return subprocess.run(
        [sys.executable, "-m", "tools.cli", "explore", f"--output={folder / 'out'}", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


class TestOnThisHost:
    """What it finds, and what it does not."""

    pytestmark = needs_kvm

    def test_a_sound_kvm(self, tmp_path: Path) -> None:
        done = explored(tmp_path, "--for=2s", "--seed=4")
        assert done.returncode == Exit.HELD, done.stdout + done.stderr
        assert "none failed" in done.stdout
        assert "Seed 4" in done.stdout

    def test_a_defect_and_its_sequence_again(self, tmp_path: Path) -> None:
        done = explored(tmp_path, "--for=60s", "--until-failed", defect="window_request_written")
        assert done.returncode == Exit.FAILED, done.stdout + done.stderr
        assert "preset.not_written does not hold" in done.stdout
        kept = tmp_path / "sequence.json"
        (tmp_path / "out" / "sequence-1.json").rename(kept)
        again = explored(tmp_path, f"--replay={kept}", defect="window_request_written")
        assert again.returncode == Exit.FAILED
        sound = explored(tmp_path, f"--replay={kept}")
        assert sound.returncode == Exit.HELD, sound.stdout + sound.stderr
