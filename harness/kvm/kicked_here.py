# SPDX-License-Identifier: GPL-2.0-only
"""KVM_RUN on the thread that a signal to the process comes to, and another thread that sends it.

A signal to the process goes to its first thread if that one does not block it (complete_signal() in
kernel/signal.c), and a test runs there. It is the kernel's right to choose another one (a timer's
goes to the thread that runs when it expires, commit bcb7ee79029d of 6.4): then the run was not
kicked, and is made again.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from harness.kvm.guest import Guest
from harness.kvm.run import RunResult
from harness.kvm.running import POLL_S, NotSeenError, Processor, asleep
from harness.kvm.senders import Send, Sender
from harness.kvm.signals import CountingHandler, send

_MOST_ELSEWHERE = 50

#: Whether the moment to send has come, of a run on the thread with this id.
Ready = Callable[[int], bool]


def until_progress(processor: Processor, turns: int = 3) -> Ready:
    """Once the guest has made some turns since now: it runs."""
    start = processor.heartbeat
    return lambda _: (processor.heartbeat - start) & 0xFFFFFFFF >= turns


def until_asleep(processor: Processor) -> Ready:
    """Once the vCPU waits and its thread sleeps."""
    return lambda tid: asleep(processor, tid)


class _Kicker:
    """A context manager: a thread that sends once the moment has come, or gives up at its end."""

    def __init__(self, ready: Ready, send_it: Send, handler: CountingHandler | None) -> None:
        self.sent = self.elsewhere = False
        self._ready, self._send, self._handler = ready, send_it, handler
        self._error: BaseException | None = None
        self._tid = threading.get_native_id()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._body, name="kicker")

    def _body(self) -> None:
        try:
            self._kick()
        except BaseException as error:  # told by whoever waits; the run then ends by its rescue
            self._error = error

    def _kick(self) -> None:
        while not self._ready(self._tid):
            if self._over.wait(POLL_S):
                return
        self._send()
        self.sent = True
        while self._handler and not self._over.wait(POLL_S):
            if self._handler.count() and self._handler.taken_by() != self._tid:
                self.elsewhere = True
                with suppress(ProcessLookupError):
                    send(self._tid, self._handler.signo)
                return

    def __enter__(self) -> _Kicker:
        # The thread has the mask of the one that starts it: no signal goes to it.
        before = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
        self._thread.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        if self._error is not None:
            raise self._error


def run_disturbed(guest: Guest, disturb: Callable[[], None], turns: int) -> RunResult:
    """KVM_RUN here, `disturb` once the guest runs, and the stop word when it ran on so long.

    The result of the run that the stop word ended. `NotSeenError` when the guest did not run.
    """
    on_and_on = until_progress(guest, turns)

    def then_stop() -> None:
        disturb()
        bound = int(guest.vcpu.bounds.patience_s / 2 / POLL_S)
        for _ in range(bound):
            if on_and_on(0):
                break
            time.sleep(POLL_S)
        guest.stop()

    with _Kicker(until_progress(guest), then_stop, None) as kicker:
        result = guest.vcpu.run_raw()
    if not kicker.sent:
        raise NotSeenError(
            f"the guest did not run ({guest.progress()})", f"but {result.describe()}", result
        )
    return result


def run_disturbed_asleep(
    processor: Processor,
    disturb: Callable[[], None],
    done: Callable[[], bool],
    finish: Callable[[], None],
) -> tuple[RunResult, bool]:
    """KVM_RUN here, `disturb` once the vCPU waits, and `finish` when it was `done`, or never is.

    The result of the run that `finish` ended, and whether it was done before. `NotSeenError` when
    the vCPU did not come to wait.
    """
    seen = False

    def then_finish() -> None:
        nonlocal seen
        disturb()
        for _ in range(int(processor.vcpu.bounds.patience_s / 2 / POLL_S)):
            seen = done()
            if seen:
                break
            time.sleep(POLL_S)
        finish()

    with _Kicker(until_asleep(processor), then_finish, None) as kicker:
        result = processor.vcpu.run_raw()
    if not kicker.sent:
        raise NotSeenError(
            f"the vCPU did not wait ({processor.progress()})", f"but {result.describe()}", result
        )
    return result, seen


def run_kicked(
    processor: Processor, begin: Callable[[], Ready], sender: Sender
) -> tuple[RunResult, int]:
    """KVM_RUN here, and one signal once it is time: the result, and how often it was handled.

    `begin` is called before the run and tells when the time has come. `NotSeenError` when it did
    not come.
    """
    for _ in range(_MOST_ELSEWHERE):
        with (
            CountingHandler(sender.signo) as handler,
            sender.to(threading.get_native_id()) as send_it,
        ):
            with _Kicker(begin(), send_it, handler) as kicker:
                result = processor.vcpu.run_raw()
            if not kicker.sent:
                raise NotSeenError(
                    f"the moment for the signal did not come ({processor.progress()})",
                    f"but {result.describe()}",
                    result,
                )
            if not kicker.elsewhere:
                return result, handler.count()
    raise OSError(f"of {_MOST_ELSEWHERE} signals to the process none came to its first thread")
