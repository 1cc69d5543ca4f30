# SPDX-License-Identifier: GPL-2.0-only
"""`diff`, `baseline`, and `--expect` of what runs something."""

from __future__ import annotations

import io
import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from harness.reporting import journal
from harness.reporting.results import Result, TestOutcome
from lab.comparison import baseline as baselines
from lab.comparison.expected import Expectation
from lab.launch import finish
from lab.launch.speaker import Written
from tests.lab.results import journals
from tools.cli import main

CLAIM, OTHER = "preset.repeats", "states.single_step"


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for kind in journals.KINDS:
        (tmp_path / kind).mkdir()
        journals.write(kind, tmp_path / kind / journal.NAME)
    return tmp_path


def test_better_the_same_and_worse_have_codes(folders: Path) -> None:
    def code(*names: str) -> int:
        return main(["diff", *(str(folders / name) for name in names)])

    assert code("sound", "sound") == 0
    assert code("broken", "sound") == 0
    assert code("sound", "broken") == 1
    assert code("sound", "cut") == 1
    assert code("cut", "sound") == 0
    assert code("sound/journal.jsonl", "sound") == 0


def test_a_baseline_of_a_folder_and_the_folder(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folders / "host.toml"
    assert main(["baseline", str(folders / "sound"), "-o", str(file)]) == 0
    assert main(["baseline", str(folders / "sound")]) == 0
    assert capsys.readouterr().out == file.read_text()
    for sides in ([file, folders / "sound"], [folders / "sound", file]):
        assert main(["diff", *map(str, sides)]) == 0
        assert capsys.readouterr().out.startswith("The same: no claim has changed.\n")
    for sides in ([file, folders / "broken"], [folders / "broken", file]):
        assert main(["diff", *map(str, sides)]) == 1
        assert capsys.readouterr().out.startswith("Worse: 4 claims fail, 2 claims came to no")


def test_of_a_matrix_each_kernel_is_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for side, kinds in (("a", ("sound", "sound")), ("b", ("sound", "broken"))):
        for kernel, kind in zip(("k6_1", "k6_12"), kinds, strict=True):
            (tmp_path / side / kernel).mkdir(parents=True)
            journals.write(kind, tmp_path / side / kernel / journal.NAME)
    words = ["diff", str(tmp_path / "a"), str(tmp_path / "b"), "--format", "json"]
    assert main(words) == 1
    told = json.loads(capsys.readouterr().out)
    assert {each["suite"] for each in told["changes"]} == {"k6_12"}


def mutation(folder: Path, **outcomes: str) -> str:
    folder.mkdir()
    results = [
        {"id": name, "outcome": outcome, "chapter": "preset", "why": "", "claims": {}}
        for name, outcome in outcomes.items()
    ]
    kernel = {"release": "6.1.0", "label": "debian:6.1", "results": results, "left_out": []}
    (folder / "mutate.json").write_text(json.dumps({"version": 1, "kernels": [kernel]}))
    return str(folder)


def test_of_mutants_a_survivor_is_worse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whose journals say the reverse: there a mutant that was killed is a failure."""
    before = mutation(tmp_path / "a", deaf="killed", blind="survived")
    after = mutation(tmp_path / "b", deaf="survived", blind="killed")
    assert main(["diff", before, after]) == 1
    told = capsys.readouterr().out
    assert "preset: 1 of 2 tests fails, and held before: deaf: survived" in " ".join(told.split())
    assert main(["diff", before, mutation(tmp_path / "c", deaf="killed", blind="killed")]) == 0
    assert main(["baseline", before]) == 64
    assert "has mutants" in capsys.readouterr().err


def test_what_cannot_be_compared(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sound = str(folders / "sound")

    def refused(*words: str) -> tuple[int, str]:
        code = main([*words])
        return code, capsys.readouterr().err

    code, text = refused("diff", sound, str(folders / "none"))
    assert (code, "none' does not exist" in text) == (64, True)
    assert refused("diff", sound, "x" * 300)[0] == 64
    assert refused("baseline", "x" * 300)[0] == 64
    assert refused("diff", sound, "")[0] == 64
    code, text = refused("diff", sound)
    assert (code, "Missing argument 'AFTER'" in text) == (64, True)
    (folders / "empty").mkdir()
    code, text = refused("diff", str(folders / "empty"), sound)
    assert (code, "has no journal.jsonl" in text) == (70, True)
    (folders / "b.toml").write_text("[[skip]]\n")
    code, text = refused("diff", str(folders / "b.toml"), sound)
    assert (code, "b.toml: skip 1: " in text) == (64, True)
    (folders / "b.toml").write_text("")
    code, text = refused("diff", *[str(folders / "b.toml")] * 2)
    assert (code, "both are baselines" in text) == (64, True)
    (folders / "empty" / "mutate.json").write_text('{"kernels": [{"release": 1}]}')
    code, text = refused("diff", sound, str(folders / "empty"))
    assert (code, "mutate.json: " in text) == (70, True)
    code, text = refused("baseline", str(folders / "cut"))
    assert (code, "came to no verdict" in text) == (70, True)
    code, text = refused("baseline", sound, "-o", str(folders / "host.txt"))
    assert (code, "ends with .toml" in text) == (64, True)
    code, text = refused("baseline", sound, "-o", str(folders / "no" / "host.toml"))
    assert (code, "cannot be written" in text) == (73, True)


# ---- --expect


@pytest.mark.parametrize("command", ["run", "emulate", "matrix"])
def test_what_nothing_can_be_expected_by(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "--strict-skips"]) == 64
    assert "--strict-skips needs --expect FILE" in capsys.readouterr().err
    assert main([command, "--expect", str(tmp_path / "none")]) == 64
    assert "none cannot be read: No such file" in capsys.readouterr().err
    (tmp_path / "b.toml").write_text('[[skip]]\nclaim = "states.x"\nreason = "no_smm"\n')
    assert main([command, "--expect", str(tmp_path / "b.toml")]) == 64
    assert "b.toml: skip 1: 'states.x' is no claim" in capsys.readouterr().err


def finished(
    tmp_path: Path, declared: str, *, strict: bool = False, bad: bool = False, tested: bool = True
) -> tuple[int, str]:
    """A run whose pytest has told its verdict: a test passed, or failed, and one was skipped."""
    first = TestOutcome.FAILED if bad else TestOutcome.PASSED
    first = first if tested else TestOutcome.SKIPPED
    with journal.Writer(tmp_path / journal.NAME) as writer:
        writer.session({"kernel": "6.1.0"})
        writer.planned({"preset.a": CLAIM, "vcpu_states.b": OTHER})
        for name, claim, outcome in (
            ("preset.a", CLAIM, first),
            ("vcpu_states.b", OTHER, TestOutcome.SKIPPED),
        ):
            reason = "no_guest_debug" if outcome is TestOutcome.SKIPPED else ""
            writer.result(Result(name, claim, outcome, "call", reason, "why", "", 0.1, "", ""))
        status = int(bad) if tested else finish.PYTEST_NOTHING
        writer.end(status)
    file = tmp_path / "host.toml"
    file.write_text(declared)
    told = io.StringIO()
    code = finish.finish(
        tmp_path,
        Written(told),
        status=status,
        stopped_by=None,
        require_kvm=False,
        narrowed=True,
        exports=[("junit", tmp_path / "exported.xml"), ("json", tmp_path / "exported.json")],
        expected=Expectation(baselines.read(file), strict),
    )
    return code, " ".join(told.getvalue().split())


def properties(file: Path) -> dict[str, str]:
    told = ElementTree.parse(file).getroot().iter("property")
    return {each.get("name", ""): each.get("value", "") for each in told}


SKIP = f'[[skip]]\nclaim = "{OTHER}"\nreason = "no_guest_debug"\n'


def test_a_run_as_declared(tmp_path: Path) -> None:
    assert finished(tmp_path, SKIP, strict=True) == (0, "EXPECTED as host.toml declares.")
    told = properties(tmp_path / "junit.xml")
    assert told == {"kernel": "6.1.0", "expected": "host.toml"}


def test_an_undeclared_skip_is_told_and_noted(tmp_path: Path) -> None:
    code, told = finished(tmp_path, "")
    assert code == 0
    assert f"not tested {OTHER}: 1 of 1 test skipped, and host.toml declares none" in told
    assert "EXPECTED not as host.toml declares: 1 claim skipped what it does not" in told
    for file in ("junit.xml", "exported.xml"):
        found = properties(tmp_path / file)
        assert found["undeclared_skips"] == f"{OTHER}: no_guest_debug"


def test_strict_skips_leave_no_verdict(tmp_path: Path) -> None:
    """70, as where tests were not chosen: the kernel is not at fault, and it is no success."""
    code, told = finished(tmp_path, "", strict=True)
    assert code == 70
    assert "No verdict on all that was asked for: tests were skipped that host.toml" in told
    (suite,) = json.loads((tmp_path / "exported.json").read_text())["suites"]
    assert suite["counts"]["error"] == 1, "an export is no success either"
    assert finished(tmp_path, "", strict=True, tested=False)[0] == 70
    assert finished(tmp_path, "", strict=True, bad=True)[0] == 1, "a failure says more"


def test_a_known_failure_still_fails(tmp_path: Path) -> None:
    failure = f'[[failure]]\nclaim = "{CLAIM}"\n'
    assert finished(tmp_path, SKIP + failure, bad=True) == (1, "EXPECTED as host.toml declares.")
    code, told = finished(tmp_path, SKIP, bad=True)
    assert code == 1
    assert "1 claim failed that it does not declare" in told
    assert properties(tmp_path / "junit.xml")["undeclared_failures"] == CLAIM
    code, told = finished(tmp_path, SKIP + failure, strict=True)
    assert (code, "1 entry applies no more" in told) == (0, True)
    assert properties(tmp_path / "junit.xml")["stale_expectations"] == CLAIM
