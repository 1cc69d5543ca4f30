# SPDX-License-Identifier: GPL-2.0-only
"""KVM_RUN under way on a thread of its own, so that another one can kick it.

Waiting here is for a condition that the guest or the kernel shows, never for a time.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Protocol

from harness.kvm import abi, arch, call_log
from harness.kvm.guest import Guest
from harness.kvm.run import NS, RunResult
from harness.kvm.signals import CountingHandler, send
from harness.kvm.unmet import CONTENT, GOES_ON, UnmetError
from harness.kvm.vcpu import Vcpu
from harness.lasting_thread import LastingThread
from harness.native import lib

POLL_S = 0.0005
_LONGEST_LOOK_S = 0.05  # what took longer was the host's: it was starved, or stopped the process
_NOBODY = -1
_PROGRESS = "guest progress"
_LOOK = signal.SIGRTMAX - 5  # ends a run whose vCPU is to be asked; no test and no rescue uses it


def _clock_s() -> float:
    """Seconds of CLOCK_MONOTONIC as the kernel tells them. Raises OSError when it does not."""
    now = int(lib.ke_clock_ns())
    if not now:
        raise OSError("the kernel tells no time (clock_gettime): patience cannot be measured")
    return now / NS


class NotSeenError(UnmetError):
    """A condition that a test waits for did not come: the run ended first, or time ran out.

    A verdict about the kernel, wherever it is raised: nothing but KVM and the guest can bring it.
    `result` is that of the run, where one ended; `progress`: what did not come is that the guest
    goes on. Without either no program is made of it.
    """

    def __init__(
        self, awaited: str, but: str, result: RunResult | None = None, *, progress: bool = False
    ) -> None:
        came_back = result is not None and not result.rescue
        kind = GOES_ON if came_back or progress else CONTENT
        super().__init__(awaited, but, kind, result, value=int(progress))


class EndedForNothingError(NotSeenError):
    """The run ended with EINTR and without a signal, where KVM_RUN could not be called again.

    That is: its byte was set meanwhile. One alone says nothing about the kernel.
    """

    def __init__(self, awaited: str, but: str, result: RunResult) -> None:
        super().__init__(awaited, but, result)
        self.result = result


class Processor(Protocol):
    """What can run: a guest with its vCPU, or another vCPU of one."""

    vcpu: Vcpu

    @property
    def heartbeat(self) -> int:
        """Turns of the loop of what this vCPU executes."""

    def stop(self) -> None:
        """Asks the program to leave."""

    def statistic(self, name: str) -> int | None:
        """One of KVM's statistics of this vCPU; None where this kernel has it not."""

    def progress(self) -> str:
        """What its program counted, for a bug report."""


def asleep(processor: Processor, tid: int, *, counted: bool = True) -> bool:
    """Whether the thread sleeps in KVM_RUN, and the vCPU, where KVM counts it, is blocked."""
    state, in_run = _thread_state(tid)
    blocked = not counted or processor.statistic("blocking") in (1, None)
    return state == "S" and in_run and blocked


def _thread_state(tid: int) -> tuple[str, bool]:
    """The thread's state as of proc(5), and whether it sleeps in ioctl(KVM_RUN)."""
    task = Path("/proc/self/task") / str(tid)
    try:
        # Field 3 of stat, behind the name, which may hold any character.
        state = (task / "stat").read_text().rpartition(")")[2].split()[0]
        call = (task / "syscall").read_text().split()
    except OSError:  # the thread has ended: who waits for it says so
        return "gone", False
    # The number of the call, then its arguments: descriptor and request. Or "running".
    return state, len(call) > 2 and int(call[2], 16) == abi.IOCTLS["KVM_RUN"]


class Running:
    """A context manager: starts KVM_RUN on a fresh thread, and at its end waits for the run.

    `blocked` are signals that the thread blocks before KVM_RUN. After the run, `mask_before` and
    `mask_after` are the thread's mask around it and `pending` what was then still pending (and
    was taken away, so that the thread can end).
    """

    def __init__(self, guest: Processor, *, blocked: Iterable[int] = ()) -> None:
        self.guest = guest
        self.result: RunResult | None = None
        self.mask_before: set[int] = set()
        self.mask_after: set[int] = set()
        self.pending: set[int] = set()
        self._blocked = set(blocked)
        if self._blocked:
            call_log.cannot("a thread of its own that blocks signals")
        self._error: BaseException | None = None
        self._kicked = False
        self._tid = _NOBODY
        self._started = threading.Event()
        self._thread = LastingThread(self._body, "vcpu")

    def _body(self) -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, self._blocked)
        self._tid = threading.get_native_id()
        self.mask_before = {int(signo) for signo in signal.pthread_sigmask(signal.SIG_BLOCK, ())}
        self._started.set()
        try:
            self.result = self.guest.vcpu.run_raw()
        except BaseException as error:  # handed to whoever waits
            self._error = error
        self.mask_after = {int(signo) for signo in signal.pthread_sigmask(signal.SIG_BLOCK, ())}
        self.pending = {int(signo) for signo in signal.sigpending()}
        for signo in self.pending:
            signal.sigtimedwait({signo}, 0)

    def __enter__(self) -> Running:
        try:
            self._thread.start()
            self._started.wait()
        except BaseException:
            self._thread.settle(self.guest.stop)  # the guest is freed after it
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            # The test has failed already: end the run at once, not after the whole patience.
            self._thread.settle(self.guest.stop)
            return
        try:
            self._thread.join()
        except BaseException:
            self._thread.settle(self.guest.stop)
            raise
        if self._error is not None:
            raise self._error

    @property
    def tid(self) -> int:
        """The thread's id for tgkill(2) and for /proc."""
        return self._tid

    def over(self) -> bool:
        """Whether KVM_RUN has returned."""
        return self._thread.over()

    def kick(self, signo: int) -> None:
        """Sends one signal to the thread. Raises OSError when it is gone, or no signal is left."""
        try:
            send(self._tid, signo)
        except ProcessLookupError:
            if self.over():
                raise self._over_before(f"signal {signo}") from None
            raise
        self._kicked = True

    def stop_by(self, signo: int) -> None:
        """Signals again and again until the run is over. Prepares a test; is never its subject."""
        while not self.over():
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                send(self._tid, signo)
            self._thread.join(0.002)

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Returns once `condition` holds. Raises `NotSeenError` if the run ends before.

        Also after most of the run's patience; the run is then over, and the text says what thread
        and vCPU waited in.
        """
        patience_s = self.guest.vcpu.bounds.patience_s * 0.8
        waited_s, last = 0.0, _clock_s()
        while not condition():
            if self.over():
                if condition():  # it came between the two looks, and the run's end behind it
                    return
                raise self._over_before(what)
            now = _clock_s()
            waited_s, last = waited_s + min(now - last, _LONGEST_LOOK_S), now
            if waited_s > patience_s:
                with call_log.unlogged():
                    standstill = self._standstill()
                raise NotSeenError(
                    f"waited {patience_s:.0f} s for {what}",
                    f"in vain: {standstill}",
                    progress=what == _PROGRESS and isinstance(self.guest, Guest),
                )
            time.sleep(POLL_S)

    def _over_before(self, what: str) -> NotSeenError:
        result = self.outcome()
        text = f"waiting for {what}", f"but {result.describe()}"
        if result.for_nothing and self.guest.vcpu.immediate_exit and not self._kicked:
            return EndedForNothingError(*text, result)
        return NotSeenError(*text, result)

    def wait_for_progress(self, turns: int = 3) -> None:
        """Returns once the guest has made some turns since now: it is warm, and running."""
        start = self.guest.heartbeat
        self.wait_until(lambda: (self.guest.heartbeat - start) & 0xFFFFFFFF >= turns, _PROGRESS)

    def wait_for_processor_time(self, nanoseconds: int, *others: Running) -> None:
        """Returns once the thread, with the others', has used this much processor time (schedstat).

        So many host ticks came meanwhile, and each had its chance to look at the vCPU.
        """
        tids = [running.tid for running in (self, *others)]
        paths = [Path("/proc/self/task") / str(tid) / "schedstat" for tid in tids]

        def used() -> int:
            try:
                return sum(int(path.read_text().split()[0]) for path in paths)
            except OSError:  # a thread has ended: wait_until() says so
                return 0

        start = used()
        self.wait_until(lambda: used() - start >= nanoseconds, "processor time of the vCPU")

    def wait_for_sleep(self, *, counted: bool = True) -> None:
        """Returns once the thread sleeps in KVM_RUN: state S, and ioctl(KVM_RUN) its system call.

        Where KVM counts it, the vCPU itself must be blocked: it neither polls nor waits for a lock.
        The wait of one that is powered off is not `counted`.
        """

        self.wait_until(
            lambda: asleep(self.guest, self._tid, counted=counted),
            "the vCPU's thread to sleep in the kernel",
        )

    def _standstill(self) -> str:
        """What thread and vCPU wait in, for a bug report.

        It ends the run by signals first: KVM answers no ioctl of the vCPU before (it holds the
        vCPU's mutex in KVM_RUN), and a monitor would see the same state.
        """
        state, in_run = _thread_state(self._tid)
        text = (
            f"{self.guest.progress()}, thread in state {state}{' in KVM_RUN' if in_run else ''}, "
            f"KVM's statistic blocking {self.guest.statistic('blocking')}"
        )
        bound = _clock_s() + self.guest.vcpu.bounds.signal_after_s
        with CountingHandler(_LOOK):
            while not self.ends_within(0.02):
                if _clock_s() > bound:
                    return f"{text}; no signal ended the run"
                with contextlib.suppress(ProcessLookupError):
                    send(self._tid, _LOOK)
        if self.result is None:
            return text
        vcpu = arch.current().standstill(self.guest.vcpu)
        return f"{text}; after a signal {self.result.describe()}; {vcpu}"

    def ends_within(self, seconds: float) -> bool:
        """Whether the run ends by then. Only for a choice of what to do next, never a verdict."""
        self._thread.join(seconds)
        return self.over()

    def outcome(self) -> RunResult:
        """Waits for the end of the run and gives its result; raises what the thread raised."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        if self.result is None:
            raise RuntimeError("the thread of KVM_RUN ended without a result")
        return self.result


class KickOnProgress:
    """A context manager for a KVM_RUN on the caller's own thread: another one kicks it.

    It sends one signal to the thread `tid` once the guest has made progress; `sent` says whether
    it did. It gives up with the caller.
    """

    def __init__(self, guest: Guest, tid: int, signo: int) -> None:
        self.sent = False
        self._error: OSError | None = None
        self._guest = guest
        self._tid = tid
        self._signo = signo
        self._over = threading.Event()
        self._start = guest.heartbeat
        self._thread = LastingThread(self._body, "kicker")

    def _body(self) -> None:
        while (self._guest.heartbeat - self._start) & 0xFFFFFFFF < 3:
            if self._over.wait(POLL_S):
                return
        try:
            send(self._tid, self._signo)
            self.sent = True
        except OSError as error:
            self._error = error
            self._guest.stop()

    def __enter__(self) -> KickOnProgress:
        try:
            self._thread.start()
        except BaseException:
            self._thread.settle(self._over.set)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.settle(self._over.set)
        if self._error is not None:
            raise self._error


def warm_up(guest: Guest) -> None:
    """Runs the guest until it has counted, then stops it by a signal: its pages are mapped.

    A cold vCPU hides defects, for its first entry faults before the guest makes progress. The
    signal repeats until the run ends: this prepares a test, it is none.
    """
    with CountingHandler(signal.SIGRTMIN + 8) as handler, Running(guest) as running:
        running.wait_for_progress()
        running.stop_by(handler.signo)
    result = running.outcome()
    result.raise_if_rescued()
