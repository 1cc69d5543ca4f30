# SPDX-License-Identifier: GPL-2.0-only
"""Ctrl-C beside a thread whose memory is freed after it: the thread is over first."""

from __future__ import annotations

import os
import signal
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from harness.kvm.running import Running
from harness.lasting_thread import LastingThread


class Run:
    """A KVM_RUN that is interrupted `interrupts` times while it is waited for."""

    def __init__(self, interrupts: int = 0) -> None:
        self.begun, self.asked = threading.Event(), threading.Event()
        self.ended = False
        self._interrupts = interrupts

    def run_raw(self) -> Any:
        self.begun.set()
        for _ in range(self._interrupts):
            os.kill(os.getpid(), signal.SIGINT)
        assert self.asked.wait(60)
        self.ended = True
        return SimpleNamespace()


def running(run: Run) -> Running:
    processor: Any = SimpleNamespace(vcpu=run, stop=run.asked.set)
    return Running(processor)


@pytest.mark.parametrize("interrupts", [1, 3], ids=["one", "impatient"])
def test_an_interrupt_while_a_run_is_waited_for(interrupts: int) -> None:
    """Up to Python 3.12 a Thread.join() that is interrupted says that the thread has ended."""
    run = Run(interrupts)
    with pytest.raises(KeyboardInterrupt), running(run) as under_way:
        under_way.outcome()
    assert run.ended


def test_an_interrupt_at_the_end_of_the_block() -> None:
    run = Run(interrupts=1)
    with pytest.raises(KeyboardInterrupt), running(run):
        assert run.begun.wait(60)
    assert run.ended


def interrupted_start(monkeypatch: pytest.MonkeyPatch, run: Run, *, begins: bool) -> list[Any]:
    start, late = threading.Thread.start, []

    def interrupted(self: threading.Thread) -> None:
        if begins:
            start(self)
            assert run.begun.wait(60)
        else:
            late.append(lambda: start(self))
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    return late


def test_an_interrupt_while_the_thread_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Thread.start() waits for the thread's first sign."""
    run = Run()
    interrupted_start(monkeypatch, run, begins=True)
    with pytest.raises(KeyboardInterrupt), running(run):
        pass
    assert run.ended


def test_an_interrupt_before_the_thread_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may begin after all, and finds then that it is not wanted."""
    run = Run()
    late = interrupted_start(monkeypatch, run, begins=False)
    with pytest.raises(KeyboardInterrupt), running(run):
        pass
    monkeypatch.undo()
    late[0]()
    threads = [each for each in threading.enumerate() if each.name == "vcpu"]
    for each in threads:
        each.join()
    assert not run.begun.is_set()


def test_waiting_with_a_limit_ends_before_the_body() -> None:
    goes_on = threading.Event()
    thread = LastingThread(lambda: goes_on.wait(60) and None, "waits")
    thread.start()
    thread.join(0.001)
    assert not thread.over()
    thread.settle(goes_on.set)
    assert thread.over()
