# SPDX-License-Identifier: GPL-2.0-only
"""What an exploration leaves, read again; a machine may have written it, or died as it did."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from harness.model.answers import ModelVcpu
from harness.model.program import GuestState, Step, StepKind
from harness.sequences.sequence import Done
from harness.sequences.setting import Setting
from lab.exploration import files
from lab.exploration.coverage import Coverage, missing_pairs, never, state_of
from lab.exploration.files import Exploration, UnderWay

STEP = StepKind(lambda state, step, passed: (state, 0), waits=True)
MODEL = ModelVcpu({"wait": STEP}, (Step("wait", 1),), state=GuestState())


def line(event: str, **more: object) -> str:
    return json.dumps({"event": event, **more}) + "\n"


FOUND = {"claim": "preset.repeats", "sentence": "It does not.", "sequence": "{}", "number": 4}


def test_a_request_is_read_as_it_was_written() -> None:
    asked = Exploration(seed=3, seconds=5.0, irqchips=("none",), replay="x")
    again = Exploration.of_json(asked.as_json())
    assert (again.seed, again.seconds, list(again.irqchips), again.replay) == (
        3,
        5.0,
        ["none"],
        "x",
    )


def test_a_journal(tmp_path: Path) -> None:
    reached = {"operations": {"run": 2}}
    text = line("finding", finding=FOUND) + line("end", sequences=7, coverage=reached, error="")
    (tmp_path / files.JOURNAL).write_text(text)
    found = files.read(tmp_path / files.JOURNAL)
    assert found.ended
    assert found.sequences == 7
    assert found.coverage == reached
    assert [each.claim for each in found.findings] == ["preset.repeats"]


def test_what_was_reached_is_told_now_and_then(tmp_path: Path) -> None:
    reached = {"operations": {"run": 2}}
    lines = line("progress", sequences=1, coverage=reached) + line("suites", sequences=3)
    (tmp_path / files.JOURNAL).write_text(lines)
    found = files.read(tmp_path / files.JOURNAL)
    assert (found.sequences, found.coverage) == (3, reached)
    assert found.in_suites
    assert not found.ended


@pytest.mark.parametrize(
    "damage",
    [
        "{",  # torn
        "[]\n",
        line("end", sequences="many"),
        line("finding", finding={"claim": 3}),
        line("progress", nothing=1),
    ],
)
def test_a_damaged_journal_has_no_end(tmp_path: Path, damage: str) -> None:
    (tmp_path / files.JOURNAL).write_text(line("finding", finding=FOUND) + damage)
    found = files.read(tmp_path / files.JOURNAL)
    assert not found.ended
    assert len(found.findings) == 1


def test_no_journal(tmp_path: Path) -> None:
    assert not files.read(tmp_path / files.JOURNAL).ended


def test_what_was_under_way(tmp_path: Path) -> None:
    path = tmp_path / files.UNDER_WAY
    written = UnderWay(path)
    for each in (Done("release", {}), Done("mask", {"on": True})):
        written.begins(Setting("none"))
        written.does(each, MODEL)
    written.does(Done("ask", {}), MODEL)
    written.close()
    recorded = files.under_way(path)
    assert recorded
    assert [each.operation for each in recorded.done] == ["mask", "ask"]
    with path.open("a") as file:
        file.write('{"operation": "ru')
    assert files.under_way(path) == recorded  # torn: it was never begun


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}\n[]\n",
        '{"irqchip": "none", "features": []}\n{"operation": "fly", "arguments": {}}\n',
        '{"irqchip": "none", "features": []}\n{"operation": "mask", "arguments": {"on": 2}}\n',
        '{"irqchip": "none", "features": ["wings"]}\n',
        '{"irqchip": "wings", "features": []}\n',
    ],
)
def test_what_cannot_be_played_was_not_under_way(tmp_path: Path, text: str) -> None:
    path = tmp_path / files.UNDER_WAY
    path.write_text(text)
    assert files.under_way(path) is None


def test_coverage() -> None:
    coverage = Coverage(Counter({"fly": 0}))
    for sequence in (("run", "kick"), ("run", "run")):
        coverage.begins()
        for name in sequence:
            coverage.count(name, MODEL)
    assert coverage.as_json()["pairs"] == {"run then kick": 1, "run then run": 1}
    assert state_of(MODEL) == "wait, waiting"
    assert never(coverage.operations) == ["fly"]
    assert missing_pairs(coverage.pairs, ["run", "kick"]) == ["kick then run", "kick then kick"]
