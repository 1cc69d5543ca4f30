# SPDX-License-Identifier: GPL-2.0-only
"""The taker of stop signals: what it remembers, what it raises, and what it gives back."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from lab.launch.exit_codes import Exit
from lab.launch.stopping import SIGNALS, Stop, StoppedError, stoppable


@pytest.fixture(autouse=True)
def handlers() -> Iterator[list[Any]]:
    """Those before the test, which has them again afterwards."""
    before = [signal.getsignal(number) for number in SIGNALS]
    yield before
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)


def send(*numbers: signal.Signals) -> None:
    """To this process, whose handler has run when this returns."""
    for number in numbers:
        os.kill(os.getpid(), number)


def now() -> list[Any]:
    return [signal.getsignal(number) for number in SIGNALS]


def test_without_a_signal_the_old_handlers_are_back(handlers: list[Any]) -> None:
    with Stop().taken() as stop:
        assert now() != handlers
    assert now() == handlers
    assert (stop.first, stop.code) == (None, None)


@pytest.mark.parametrize(
    ("numbers", "code", "interrupts"),
    [
        ([signal.SIGINT, signal.SIGINT], Exit.SIGINT, 2),
        ([signal.SIGTERM, signal.SIGINT], Exit.SIGTERM, 1),
        ([signal.SIGHUP, signal.SIGTERM], Exit.SIGTERM, 0),
    ],
)
def test_the_first_decides_and_afterwards_none_disturbs(
    numbers: list[signal.Signals], code: Exit, interrupts: int
) -> None:
    with Stop().taken() as stop:
        send(*numbers)
    send(*numbers)
    assert (stop.first, stop.code) == (numbers[0], code)
    assert (stop.count, stop.interrupts) == (2, interrupts)
    assert now() == [signal.SIG_IGN] * 3


def test_what_is_not_ignored_afterwards_is_given_back(handlers: list[Any]) -> None:
    stop = Stop(Stop.raise_it)
    with stop.taken((signal.SIGTERM,), ignored_after=False):
        for _ in range(2):
            with pytest.raises(StoppedError, match="SIGTERM"):
                send(signal.SIGTERM)
        assert now()[::2] == handlers[::2], "the others are not taken"
    assert now() == handlers


def test_only_the_first_is_an_error_and_no_handler_of_errors_swallows_it() -> None:
    def work() -> None:
        try:
            send(signal.SIGINT)
        except Exception:
            pytest.fail("it is no error of the work")
        finally:
            send(signal.SIGTERM)

    with pytest.raises(StoppedError) as caught, stoppable():
        work()
    assert caught.value.number is signal.SIGINT
