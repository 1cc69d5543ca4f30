# SPDX-License-Identifier: GPL-2.0-only
"""Signal handlers and timers in C, for what Python's own signal handling cannot do."""

from __future__ import annotations

import errno
import os
import signal
import threading
from types import TracebackType

from harness.kvm import call_log
from harness.kvm.guest import Guest
from harness.native import ffi, lib

SA_RESTART = 0x10000000
# The signal of every kick: a real-time one that no C library, Python or monitor here uses.
KICK = 40


class CountingHandler:
    """A context manager: a handler in C that counts a signal, and can set a byte first.

    Python's own handlers run later and on the main thread, so they can show nothing here.
    """

    def __init__(self, signo: int, *, restart: bool = False) -> None:
        self.signo = int(signo)
        self._flags = SA_RESTART if restart else 0

    def __enter__(self) -> CountingHandler:
        error = lib.ke_handler_install(self.signo, self._flags)
        if error:
            raise OSError(-error, f"sigaction of signal {self.signo}: {os.strerror(-error)}")
        if call_log.current:
            call_log.current.handles(self.signo, self._flags)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _give_back(self.signo)

    def count(self) -> int:
        """How often the handler ran since it was installed."""
        return int(lib.ke_handler_count(self.signo))

    def taken_by(self) -> int:
        """The thread on which it ran last, an id as of gettid(2); of no use before it ran."""
        return int(lib.ke_handler_taker(self.signo))

    def sets_immediate_exit(self, guest: Guest) -> None:
        """From now on the handler sets this guest's byte, as api.rst describes the kick."""
        call_log.cannot("a handler that sets the byte")
        lib.ke_handler_target(self.signo, ffi.addressof(guest.vcpu.run_page, "immediate_exit"))


class ThreadTimer:
    """A context manager: a POSIX timer that signals one thread (SIGEV_THREAD_ID).

    The process, with `tid` 0 (SIGEV_SIGNAL).

    `first_ns` and `interval_ns` are nanoseconds on CLOCK_MONOTONIC; an interval of 0 fires once.
    """

    def __init__(self, signo: int, tid: int, first_ns: int, interval_ns: int = 0) -> None:
        self._arguments = (int(signo), tid, first_ns, interval_ns)
        self._handle = -1

    def __enter__(self) -> ThreadTimer:
        call_log.cannot("the signal of a timer")
        handle = lib.ke_timer_start(*self._arguments)
        if handle < 0:
            raise OSError(-handle, f"timer_create: {os.strerror(-handle)}")
        self._handle = handle
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        lib.ke_timer_stop(self._handle)


class Blocked:
    """A context manager: this thread blocks the signals, so that one sent to it stays pending.

    At its end what is still pending of them is taken away and the thread's mask is as before.
    """

    def __init__(self, *signos: int) -> None:
        self._signos = {int(signo) for signo in signos}
        self._before: set[int] = set()

    def __enter__(self) -> Blocked:
        self._before = thread_mask()
        signal.pthread_sigmask(signal.SIG_BLOCK, self._signos)
        self._tell(on=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for signo in self._signos:
            self.take(signo)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)
        self._tell(on=False)

    def _tell(self, *, on: bool) -> None:
        for signo in self._signos:
            if call_log.current:
                call_log.current.blocks(signo, on=on)

    def send(self, signo: int, times: int = 1) -> None:
        """Sends a signal to this thread, where it stays pending; real-time signals queue."""
        for _ in range(times):
            send(threading.get_native_id(), signo)

    def let_go(self) -> None:
        """Unblocks the signals now: what is pending is delivered before this returns."""
        call_log.cannot("a signal that is let go")
        signal.pthread_sigmask(signal.SIG_SETMASK, self._before)

    def take(self, signo: int) -> int:
        """Takes away what is pending of a signal: how many there were."""
        count = 0
        while signal.sigtimedwait({signo}, 0) is not None:
            count += 1
        return count


class Disposition:
    """A context manager: the process ignores a signal, or leaves it at its default, meanwhile.

    By sigaction(2) and not by Python's signal module, which knows nothing of the handlers that
    libraries in C installed (readline: SIGWINCH), so that it could not restore them.
    """

    def __init__(self, signo: int, *, ignored: bool) -> None:
        self.signo = int(signo)
        self._ignored = ignored

    def __enter__(self) -> Disposition:
        call_log.cannot("a signal that is ignored, or left at its default")
        error = lib.ke_disposition_set(self.signo, self._ignored)
        if error:
            raise OSError(-error, f"sigaction of signal {self.signo}: {os.strerror(-error)}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _give_back(self.signo)


def _give_back(signo: int) -> None:
    """What is still pending of the signal, to whichever thread, is discarded: disposition.h."""
    error = lib.ke_handler_remove(signo)
    if error:
        raise OSError(-error, f"sigaction of signal {signo}: {os.strerror(-error)}")


def thread_mask() -> set[int]:
    """The signals that the calling thread blocks."""
    return {int(signo) for signo in signal.pthread_sigmask(signal.SIG_BLOCK, ())}


def send(tid: int, signo: int) -> None:
    """tgkill(2) to a thread of this process.

    Raises OSError when it is gone (ProcessLookupError), and when the signal cannot be queued.
    """
    if call_log.current:
        call_log.current.sent(signo, here=tid == threading.get_native_id())
    error = lib.ke_tgkill(tid, signo)
    if error == -errno.EAGAIN:
        raise OSError(
            errno.EAGAIN,
            f"signal {signo} cannot be sent: as many are pending as this user may have "
            "(`ulimit -i`)",
        )
    if error:
        raise OSError(-error, f"tgkill: {os.strerror(-error)}")
