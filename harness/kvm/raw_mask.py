# SPDX-License-Identifier: GPL-2.0-only
"""Every signal that a process can catch, blocked, sent and taken by its number.

By the system calls themselves: the C library keeps signals 32 and 33 to itself, for
pthread_cancel() and setuid(), and refuses them in a mask. Nothing here uses them.
"""

from __future__ import annotations

import os
import signal
import threading
from types import TracebackType

from harness.kvm import call_log
from harness.kvm.signals import send
from harness.native import ffi, lib

_NEVER = {int(signal.SIGKILL), int(signal.SIGSTOP)}
#: Linux has 64 signals (MIPS more); two of them cannot be blocked.
NUMBERS = tuple(number for number in range(1, 65) if number not in _NEVER)


class BlockedAll:
    """A context manager: this thread blocks all of `NUMBERS`; at its end none is pending."""

    def __init__(self) -> None:
        self._before = 0

    def __enter__(self) -> BlockedAll:
        call_log.cannot("a thread that blocks every signal")
        self._before = _block_exactly(sum(1 << (number - 1) for number in NUMBERS))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.take_all()
        _block_exactly(self._before)

    def send(self, number: int, times: int = 1) -> None:
        """Sends a signal to this thread, where it stays pending, also where it is ignored."""
        for _ in range(times):
            send(threading.get_native_id(), number)

    def take(self, number: int) -> int:
        """Takes away what is pending of a signal: how many there were. Raises OSError."""
        count = 0
        while found := int(lib.ke_take_pending(number)):
            _check(found, "rt_sigtimedwait")
            count += 1
        return count

    def take_all(self) -> None:
        """Takes away whatever is pending."""
        for number in NUMBERS:
            self.take(number)


def _block_exactly(signals: int) -> int:
    before = ffi.new("uint64_t *")
    _check(lib.ke_block_exactly(signals, before), "rt_sigprocmask")
    return int(before[0])


def _check(error: int, call: str) -> None:
    if error < 0:
        raise OSError(-error, f"{call}: {os.strerror(-error)}")
