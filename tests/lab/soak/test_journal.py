# SPDX-License-Identifier: GPL-2.0-only
"""The journal of a soak: cut anywhere it is read; damaged or contradicting itself it is refused."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from lab.soak import tally
from lab.soak.journal import JOURNAL, SoakJournal
from lab.soak.tally import RaceResultsError
from tests.lab.soak.test_soak import a_summary


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    journal = SoakJournal(tmp_path)
    for number in range(3):
        journal.line("slice", number=number, summaries=[a_summary(), a_summary("signal_mask")])
    journal.close()
    whole = (tmp_path / JOURNAL).read_bytes()
    assert tally.read(tmp_path / JOURNAL).tallies["signal_mask"].kicks == 300
    chance = random.Random(1)
    last = whole.rstrip(b"\n").rfind(b"\n") + 1
    for _ in range(50):
        (tmp_path / JOURNAL).write_bytes(whole[: chance.randrange(last, len(whole))])
        assert tally.read(tmp_path / JOURNAL).tallies["signal_mask"].kicks == 200


@pytest.mark.parametrize(
    "line",
    [
        "no json",
        "[1]",
        '{"summary": {"plan": {}, "kicks": 1, "landings": {}, "latency": {}}}',
        '{"summary": {"plan": 3, "kicks": 1, "landings": {}, "latency": {}}}',
        '{"summary": {"plan": {"protocol": "x"}, "kicks": -1, "landings": {}, "latency": {}}}',
        '{"summary": {"plan": {"protocol": "x"}, "kicks": 1, "landings": 3, "latency": {}}}',
        '{"s": {"plan": {"protocol": "x"}, "kicks": 1, "landings": {}, "latency": {"99": 1}}}',
        '{"s": {"plan": {"protocol": "x"}, "kicks": 1e999, "landings": {}, "latency": {}}}',
        '{"s": {"plan": {"protocol": "x"}, "kicks": NaN, "landings": {}, "latency": {}}}',
        '{"s": {"plan": {"protocol": 1}, "kicks": Infinity, "landings": {}, "latency": {}}}',
        '{"s": {"plan": {"protocol": "x"}, "kicks": "3", "landings": {}, "latency": {}}}',
        '{"s": {"plan": {"protocol": "x"}, "kicks": 2.7, "landings": {}, "latency": {}}}',
        '{"s": {"plan": {"protocol": "x"}, "kicks": 1, "landings": {"a": true}, "latency": {}}}',
        '{"event": "slice", "seconds": NaN}',
        '{"event": "soak"}',
        '{"event": "session"}',
        "[" * 100_000,
    ],
)
def test_a_damaged_line_is_named(line: str, tmp_path: Path) -> None:
    path = tmp_path / "soak.jsonl"
    path.write_text('{"event": "soak"}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(RaceResultsError, match="line 2"):
        tally.read(path)


def test_nothing_follows_the_end(tmp_path: Path) -> None:
    path = tmp_path / "soak.jsonl"
    path.write_text('{"event": "soak"}\n{"event": "end"}\n', encoding="utf-8")
    assert tally.read(path).tallies == {}
    with path.open("a") as file:
        file.write('{"event": "slice"}\n')
    with pytest.raises(RaceResultsError, match="line 3: 'slice' does not follow"):
        tally.read(path)
