# SPDX-License-Identifier: GPL-2.0-only
"""What the kernel holds: growth by what is judged, and not by others beside it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from harness.host import held

TURNS = 100


class Host:
    """A host whose memory grows by what is done on it, and by others with the time."""

    def __init__(self) -> None:
        self.bytes = 0
        self.spans = 0
        self.others = 0

    def memory(self) -> dict[str, int]:
        return {"SUnreclaim": self.bytes + self.others * self.spans}


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    found = Host()
    monkeypatch.setattr(held, "memory", found.memory)
    monkeypatch.setattr(held, "_LOOK_S", 0)
    return found


def working(host: Host, size: int) -> Callable[[], None]:
    """A span of the work: each of its turns keeps so many bytes."""

    def work() -> None:
        host.bytes += TURNS * size
        host.spans += 1
        time.sleep(0.001)

    return work


def test_what_each_turn_keeps_is_told(host: Host) -> None:
    assert held.growing(working(host, 64), lambda: None, TURNS) == {"SUnreclaim": 64}


def test_less_than_a_slab_gives_is_no_growth(host: Host) -> None:
    assert held.growing(working(host, held.LEAST - 1), lambda: None, TURNS) == {}


def test_one_span_without_growth_clears(host: Host) -> None:
    sizes = iter([64, 64, 0, 64, 64, 64])
    assert held.growing(lambda: working(host, next(sizes))(), lambda: None, TURNS) == {}


def test_what_grows_beside_the_work_as_well_is_not_its_fault(host: Host) -> None:
    def others() -> None:
        host.bytes += TURNS * 64
        time.sleep(0.002)

    assert held.growing(working(host, 64), others, TURNS) == {}


def test_what_is_given_back_a_grace_period_later_is_not_kept(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def memory() -> dict[str, int]:
        nonlocal looks
        looks += 1
        if looks > 3 * held.SPANS + 5:
            host.bytes = 0
        return host.memory()

    monkeypatch.setattr(held, "memory", memory)
    assert held.growing(working(host, 64), lambda: None, TURNS) == {}
    assert looks > 3 * held.SPANS + 5


def test_this_host_says_all_of_it() -> None:
    assert min(held.memory().values()) >= 0
    assert {"SigBlk", "flags", "policy"} <= held.of_this_thread().keys()


def test_a_descriptor_more_is_seen() -> None:
    before = held.of_this_process()
    assert held.more_than(before) == {}
    more = os.dup(0)
    try:
        assert held.more_than(before) == {"descriptors": {str(more)}}
    finally:
        os.close(more)


def test_an_object_kept_with_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes and goes beside it is no growth, nor is what is given back at the end."""
    objects = {"pid": 0, "cred": 0, "task_struct": 0}
    spans = 0

    def work() -> None:
        nonlocal spans
        spans += 1
        objects["pid"] += TURNS
        objects["cred"] += TURNS // 4
        objects["task_struct"] = -TURNS if spans % 2 else TURNS

    monkeypatch.setattr(held, "slab_objects", lambda: dict(objects))
    monkeypatch.setattr(held, "_LOOK_S", 0)
    assert held.objects_kept(work, TURNS) == ["pid"]
    objects["pid"] = 0
    assert held.objects_kept(lambda: None, TURNS) == []
