# SPDX-License-Identifier: GPL-2.0-only
"""Which machine judges the next mutant, with machines that are no machines."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from lab.campaign import side_by_side
from lab.emulation import share
from lab.launch.request import Request
from lab.mutation import keep
from lab.mutation import lanes as mutate_lanes
from lab.mutation.lanes import Lanes

pytestmark = pytest.mark.usefixtures("played_programs")


class Child:
    """A process that runs until the machine is ended."""

    code: int | None = None

    def look(self) -> int | None:
        return self.code


class Lane:
    """What Lanes needs of one."""

    made: ClassVar[list[Lane]] = []

    def __init__(
        self, _program: object, source_file: Path, place: Path, _boot_limit_s: float
    ) -> None:
        self.share = share.make(place)
        (place / "console.log").touch()
        self.source_file, self.place, self.child = source_file, place, Child()
        self.boot_limit_s, self.machine = 300.0, keep.machine()
        self.busy = self.used_up = self.ended = False
        self.served = 0
        Lane.made.append(self)

    def end(self) -> None:
        self.ended = self.child.code is None
        self.child.code = 130
        self.used_up = True


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Lane]:
    monkeypatch.setattr(mutate_lanes, "Lane", Lane)
    Lane.made.clear()
    return Lane.made


def ask(lanes: Lanes, top: Path, kernel: str = "old", *, fresh: bool = False) -> bool:
    """Asks for a mutant; whether its machine judged others before."""
    folder = top / kernel / "mutant"
    folder.mkdir(parents=True, exist_ok=True)
    source = top / kernel / "source.json"
    asked = lanes.ask(source, folder, "/m", Request(), boot_limit_s=1, limit_s=1, fresh=fresh)
    return asked.had_predecessors


def test_a_free_machine_is_used_again_and_a_busy_one_is_not(
    made: list[Lane], tmp_path: Path
) -> None:
    lanes = Lanes((), 2)
    assert not ask(lanes, tmp_path)
    assert not ask(lanes, tmp_path), "the first one is busy"
    made[1].busy = False
    assert ask(lanes, tmp_path)
    assert [(lane.served, lane.ended) for lane in made] == [(1, False), (2, False)]


def test_a_machine_of_another_kernel_makes_way(made: list[Lane], tmp_path: Path) -> None:
    lanes = Lanes((), 1)
    ask(lanes, tmp_path)
    made[0].busy = False
    assert not ask(lanes, tmp_path, "new")
    assert [lane.ended for lane in made] == [True, False]
    assert made[1].source_file == tmp_path / "new/source.json"


def test_a_fresh_machine_is_fresh(made: list[Lane], tmp_path: Path) -> None:
    lanes = Lanes((), 2)
    ask(lanes, tmp_path)
    made[0].busy = False
    assert not ask(lanes, tmp_path, fresh=True)
    assert [lane.ended for lane in made] == [False, False]


@pytest.mark.parametrize("how", ["used_up", "gone"])
def test_what_is_used_up_or_gone_is_used_no_more(
    made: list[Lane], tmp_path: Path, how: str
) -> None:
    lanes = Lanes((), 1)
    ask(lanes, tmp_path)
    made[0].busy = False
    if how == "gone":
        made[0].child.code = 71
    else:
        made[0].end()
    assert not ask(lanes, tmp_path)
    assert not made[0].place.exists()
    lanes.close()
    assert made[1].ended
    assert not made[1].place.exists()


def test_a_waiting_machine_makes_room_where_memory_is_short(
    made: list[Lane], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes = Lanes((), 2)
    ask(lanes, tmp_path)
    ask(lanes, tmp_path)
    made[1].busy = False
    monkeypatch.setattr(side_by_side, "available_megabytes", lambda: 16_000)
    lanes.make_room()
    assert not any(lane.ended for lane in made)
    monkeypatch.setattr(side_by_side, "available_megabytes", lambda: 2_000)
    lanes.make_room()
    assert [lane.ended for lane in made] == [False, True]
