# SPDX-License-Identifier: GPL-2.0-only
"""The ways to a signal, and masks by number, without KVM."""

from __future__ import annotations

import signal
import threading

import pytest

from harness.host.remains import lowest_free_descriptor
from harness.host.task_work import NoTaskWorkError, TaskWork
from harness.kvm.raw_mask import NUMBERS, BlockedAll
from harness.kvm.senders import SENDERS
from harness.kvm.signals import CountingHandler


@pytest.mark.parametrize("kind", SENDERS)
def test_each_way_brings_one_signal(kind: str) -> None:
    sender = SENDERS[kind]
    tid = threading.get_native_id()
    with CountingHandler(sender.signo) as handler, sender.to(tid) as send_it:
        send_it()
        for _ in range(1000):
            if handler.count():
                break
            threading.Event().wait(0.001)
        assert handler.count() == 1


def test_each_number_stays_pending_and_is_taken() -> None:
    with BlockedAll() as blocked:
        for number in NUMBERS:
            blocked.send(number)
            assert blocked.take(number) == 1, number
            assert blocked.take(number) == 0, number
    assert len(NUMBERS) == 62


def test_what_is_still_pending_is_gone_at_the_end() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    with BlockedAll() as blocked:
        blocked.send(int(signal.SIGUSR2))  # its default would end this process
        blocked.send(33)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_task_work_is_done_by_the_thread_and_leaves_nothing() -> None:
    free = lowest_free_descriptor()
    try:
        work = TaskWork()
    except NoTaskWorkError as error:
        pytest.skip(str(error))
    with work:
        assert not work.done()
        work.give()
        assert lowest_free_descriptor() > free  # a system call: the thread does its work after it
        assert work.done()
    assert lowest_free_descriptor() == free
