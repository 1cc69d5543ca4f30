# SPDX-License-Identifier: GPL-2.0-only
"""Each way by which a signal can come to a thread, as data: `SENDERS`.

To the kernel they differ in where the signal is queued (of the thread, or of its process), in what
it is (a standard signal is remembered once, a real-time one is queued), and in who sends it: a
thread, an interrupt of the clock, a child at its end.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from harness.kvm import call_log
from harness.kvm.run import NS
from harness.kvm.signals import ThreadTimer, send
from harness.native import lib

Send = Callable[[], None]

_STANDARD = int(signal.SIGUSR1)
_REAL_TIME = int(signal.SIGRTMIN) + 10
# By then whoever armed the timer has left the processor: the clock sends, and not a thread.
_SOON_NS = 200_000


@dataclass(frozen=True)
class Sender:
    """`signo`, and how it is sent: `to` is called with the thread's id and gives what sends it.

    `to` is a context manager, for some ways need a timer or a child. It is entered on the thread
    that is to be signalled; what it gives may be called on any, once. OSError where the host
    refuses.
    """

    signo: int
    to: Callable[[int], AbstractContextManager[Send]]


def _checked(error: int, call: str) -> None:
    if error < 0:
        raise OSError(-error, f"{call}: {os.strerror(-error)}")


def _thread(signo: int) -> Sender:
    @contextmanager
    def to(tid: int) -> Iterator[Send]:
        yield lambda: send(tid, signo)

    return Sender(signo, to)


def _process(signo: int) -> Sender:
    @contextmanager
    def to(_: int) -> Iterator[Send]:
        call_log.cannot("a signal to the process")
        yield lambda: os.kill(os.getpid(), signo)

    return Sender(signo, to)


def _queued(signo: int, *, to_thread: bool) -> Sender:
    @contextmanager
    def to(tid: int) -> Iterator[Send]:
        call_log.cannot("a signal that is queued")
        target = tid if to_thread else 0
        yield lambda: _checked(lib.ke_sigqueue(target, signo), "rt_sigqueueinfo")

    return Sender(signo, to)


def _timer(signo: int, *, of_thread: bool) -> Sender:
    @contextmanager
    def to(tid: int) -> Iterator[Send]:
        with ExitStack() as armed:
            timer = ThreadTimer(signo, tid if of_thread else 0, _SOON_NS)

            def arm() -> None:
                armed.enter_context(timer)

            yield arm

    return Sender(signo, to)


def _alarm() -> Sender:
    @contextmanager
    def to(_: int) -> Iterator[Send]:
        call_log.cannot("the signal of a timer")

        def arm() -> None:
            signal.setitimer(signal.ITIMER_REAL, _SOON_NS / NS)

        try:
            yield arm
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)

    return Sender(int(signal.SIGALRM), to)


def _child(sent: int, signo: int) -> Sender:
    """A child that ends, after it has `sent` its parent a signal, if that is not 0."""

    @contextmanager
    def to(_: int) -> Iterator[Send]:
        call_log.cannot("another process")
        reader, writer = os.pipe()
        child = int(lib.ke_child_at(reader, writer, sent))
        os.close(reader)
        end = ExitStack()
        end.callback(os.close, writer)
        try:
            _checked(child, "fork")
            yield end.close
        finally:
            end.close()
            if child > 0:
                os.waitpid(child, 0)

    return Sender(signo, to)


#: By the word that a sentence has for it.
SENDERS: Mapping[str, Sender] = {
    "a signal to the thread": _thread(_STANDARD),
    "a real-time signal to the thread": _thread(_REAL_TIME),
    "a signal queued to the thread": _queued(_REAL_TIME, to_thread=True),
    "a signal to the process": _process(_STANDARD),
    "a real-time signal to the process": _process(_REAL_TIME),
    "a signal queued to the process": _queued(_REAL_TIME, to_thread=False),
    "the signal of a timer of the thread": _timer(_REAL_TIME, of_thread=True),
    "the signal of a timer of the process": _timer(_STANDARD, of_thread=False),
    "SIGALRM of setitimer": _alarm(),
    "a signal from another process": _child(_STANDARD, _STANDARD),
    "SIGCHLD of a child": _child(0, int(signal.SIGCHLD)),
}
