# SPDX-License-Identifier: GPL-2.0-only
"""From what was asked for to the exit code. The program that plays sequences is played."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.sequences.sequence import Done, Recorded
from harness.sequences.setting import Setting
from lab.exploration import files, run
from lab.exploration.files import Exploration, Explored, FailedSequence
from lab.exploration.run import ExplorationEnd
from lab.launch.exit_codes import Exit
from lab.launch.speaker import Written

SEQUENCE = Recorded(Setting(), tuple(Done(name, {}) for name in ("ask", "release", "ask")))
FINDING = FailedSequence("preset.repeats", "It does not.", SEQUENCE.as_json().decode())
HELD = ExplorationEnd(Explored(sequences=5, ended=True), 0)


def explore(tmp_path: Path, play: run.Play) -> tuple[int, list[Explored], str]:
    heard, told = io.StringIO(), list[Explored]()
    code = run.explore(
        Exploration(),
        tmp_path / "out",
        "name",
        play,
        Written(heard),
        tell=lambda explored, _folder: told.append(explored),
    )
    return code, told, heard.getvalue()


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (HELD, Exit.HELD),
        (replace(HELD, explored=Explored([FINDING], 5, ended=True)), Exit.FAILED),
        (ExplorationEnd(Explored(sequences=5), 1), Exit.SUITE_ERROR),
        (ExplorationEnd(Explored(ended=True, error="KVM_CREATE_VM: ENOMEM"), 0), Exit.SUITE_ERROR),
        (ExplorationEnd(Explored(), 1, no_kvm=True), Exit.SUITE_ERROR),
        (ExplorationEnd(Explored(), 0, stopped_by=signal.SIGINT), Exit.SIGINT),
        (ExplorationEnd(Explored([FINDING]), 0, stopped_by=signal.SIGTERM), Exit.FAILED),
        (
            ExplorationEnd(Explored(), None, "the machine hung"),
            Exit.SUITE_ERROR,
        ),  # before any sequence
    ],
)
def test_exit_codes(tmp_path: Path, ended: ExplorationEnd, code: Exit) -> None:
    found, told, _ = explore(tmp_path, lambda _asked, _folder: ended)
    assert found == code
    assert len(told) == 1


def test_what_failed_is_kept_as_a_file(tmp_path: Path) -> None:
    explore(tmp_path, lambda _asked, _folder: ExplorationEnd(Explored([FINDING], 5, ended=True), 0))
    kept = (tmp_path / "out" / "sequence-1.json").read_bytes()
    assert Recorded.of_json(kept) == SEQUENCE


def killed_by(kills: Callable[[Recorded], bool]) -> run.Play:
    """A host that does not survive some sequences; SEQUENCE is the first."""

    def play(asked: Exploration, folder: Path) -> ExplorationEnd:
        recorded = Recorded.of_json(asked.replay.encode()) if asked.replay else SEQUENCE
        lines = [{"irqchip": "none", "features": []}]
        lines += [{"operation": each.operation, "arguments": {}} for each in recorded.done]
        text = "".join(f"{json_line}\n" for json_line in map(json.dumps, lines))
        (folder / files.UNDER_WAY).write_text(text)
        if kills(recorded):
            return ExplorationEnd(Explored(), None, "the kernel panicked: Oops")
        return ExplorationEnd(Explored(sequences=1, ended=True), 0)

    return play


def test_what_takes_its_machine_with_it_is_found_and_made_shorter(tmp_path: Path) -> None:
    play = killed_by(lambda recorded: any(each.operation == "release" for each in recorded.done))
    code, (told,), heard = explore(tmp_path, play)
    assert code == Exit.FAILED
    (finding,) = told.findings
    assert finding.sentence == "the kernel panicked: Oops, at: release"
    kept = Recorded.of_json((tmp_path / "out" / "sequence-1.json").read_bytes())
    assert [each.operation for each in kept.done] == ["release"]
    assert "played again" in heard


def test_what_does_not_happen_again_is_kept_whole(tmp_path: Path) -> None:
    calls: list[int] = []

    def once(_: Recorded) -> bool:
        calls.append(1)
        return len(calls) == 1

    _, (told,), _ = explore(tmp_path, killed_by(once))
    assert len(Recorded.of_json(told.findings[0].sequence.encode()).done) == 3
    assert len(calls) == 2
