# SPDX-License-Identifier: GPL-2.0-only
"""Ctrl-C during a race: what the engine's threads use is freed when they are over, not before."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import pytest

from harness.kick import engine
from harness.kick.plan import Protocol
from harness.native import lib
from tests.fakes.kick.guest import Fakes, race, short

LONG = short(Protocol.HANDLER_WRITES, 10_000_000)


class Watched:
    """The extension, and whether a lane was freed while the engine ran."""

    def __init__(self, interrupts: int) -> None:
        self.running = threading.Event()
        self.freed: list[bool] = []
        self._interrupts = interrupts

    def __getattr__(self, name: str) -> Any:
        return getattr(lib, name)

    def ke_kick_run(self, *words: Any) -> int:
        self.running.set()
        for _ in range(self._interrupts):
            os.kill(os.getpid(), signal.SIGINT)
        try:
            return lib.ke_kick_run(*words)
        finally:
            self.running.clear()

    def ke_lane_free(self, lane: Any) -> None:
        self.freed.append(self.running.is_set())
        if not self.running.is_set():  # else the process would end here
            lib.ke_lane_free(lane)


@pytest.fixture
def fakes(tmp_path: Any) -> Fakes:
    return Fakes(tmp_path)


def test_an_interrupt_while_the_engine_runs(fakes: Fakes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to Python 3.12 a Thread.join() that is interrupted says that the thread has ended."""
    watched = Watched(interrupts=2)
    monkeypatch.setattr(engine, "lib", watched)
    with pytest.raises(KeyboardInterrupt):
        race(fakes, "sound", LONG)
    assert watched.freed == [False]


def test_an_interrupt_while_the_engine_starts(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Thread.start() waits for the thread's first sign."""
    watched = Watched(interrupts=0)
    start = threading.Thread.start

    def interrupted(self: threading.Thread) -> None:
        start(self)
        assert watched.running.wait(60)
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "lib", watched)
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        race(fakes, "sound", LONG)
    assert watched.freed == [False]


def test_an_interrupt_before_the_engine_starts(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(interrupts=0)
    late: list[threading.Thread] = []

    def interrupted(self: threading.Thread) -> None:
        late.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "lib", watched)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            race(fakes, "sound", LONG)
    assert watched.freed == [False]
    late[0].start()  # it begins after all, and finds that it is not wanted
    late[0].join()
    assert not watched.running.is_set()
