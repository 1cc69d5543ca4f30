# SPDX-License-Identifier: GPL-2.0-only
"""A machine's kernel is told how fast its counter goes: on a busy host it measures that wrong."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from lab.emulation import arch, counter, machine
from lab.emulation.machine import Machine

KHZ = 2_600_000


class PlayedHost:
    """A counter of 2.6 GHz on a host where something else comes between now and then."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000
        self.turn = itertools.count()

    def monotonic_ns(self) -> int:
        # 40 ms are lost in two of three readings, before the counter or behind it.
        self.now_ns += 40_000_000 if next(self.turn) % 3 == 0 else 100
        return self.now_ns

    def sw_ticks(self) -> int:
        self.now_ns += 10
        return self.now_ns * KHZ // 1_000_000


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> PlayedHost:
    played = PlayedHost()
    monkeypatch.setattr(counter, "lib", played)
    monkeypatch.setattr(counter.time, "monotonic_ns", played.monotonic_ns)
    counter.khz.cache_clear()
    return played


@pytest.fixture(autouse=True)
def measured_anew() -> None:
    counter.khz.cache_clear()


def test_what_comes_between_is_not_measured(host: PlayedHost) -> None:
    assert counter.khz() == pytest.approx(KHZ, rel=1e-4)


def test_nothing_is_said_of_a_counter_that_is_not_known(
    host: PlayedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "sw_ticks", lambda: 0)
    assert counter.khz() == 0
    assert machine._counted(Machine()) == []


def test_who_is_told(host: PlayedHost, monkeypatch: pytest.MonkeyPatch) -> None:
    here = replace(arch.with_board("riscv64").architecture, counter="tsc_early_khz")
    monkeypatch.setattr(arch, "here", lambda: here)
    (word,) = machine._counted(Machine())
    name, _, value = word.partition("=")
    assert name == "tsc_early_khz"
    assert int(value) == pytest.approx(KHZ, rel=1e-4)
    assert machine._counted(Machine(instruction_clock=True, cpus=1)) == [], "it counts 1 GHz"
    assert machine._counted(Machine(foreign=arch.with_board("arm64"))) == []
