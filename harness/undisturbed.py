# SPDX-License-Identifier: GPL-2.0-only
"""A run whose byte is set while it lasts, on a KVM that may end any run for nothing.

EINTR without a signal is legal, and native/run.c then calls KVM_RUN again. With the byte set it
cannot: that call would return at once. So the whole run is made anew, and a KVM that ends it each
time is asked whether it does so with the byte at 0 as well.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.kick.verdict import InconclusiveError
from harness.kvm.guest import Guest
from harness.kvm.run import RunResult
from harness.kvm.running import EndedForNothingError, Running
from harness.kvm.signals import CountingHandler

MOST_RUNS = 16


def kicked_run(
    guest: Guest, signo: int, byte: int, before_the_kick: Callable[[Running], None]
) -> tuple[RunResult, int]:
    """The guest runs, then the byte is set, then one kick: the result, and how often it was taken.

    `before_the_kick` waits for what must come with the byte set. Raises `InconclusiveError` where
    this KVM ends every such run for nothing, and `NotSeenError` where it does so only with the byte
    set: it looks at the byte again.
    """
    for _ in range(MOST_RUNS):
        try:
            return _once(guest, signo, byte, before_the_kick)
        except EndedForNothingError as error:
            ended = error
    disturbed = 0
    for _ in range(MOST_RUNS):
        result, _ = _once(guest, signo, 0, before_the_kick)
        disturbed += result.spurious > 0
    if disturbed == MOST_RUNS:
        raise InconclusiveError(
            f"inconclusive: this KVM ends each run with EINTR and without a signal, {MOST_RUNS} "
            f"with immediate_exit=0 and {MOST_RUNS} with {byte}: what the byte does cannot be told"
        )
    raise ended


def _once(
    guest: Guest, signo: int, byte: int, before_the_kick: Callable[[Running], None]
) -> tuple[RunResult, int]:
    guest.vcpu.immediate_exit = 0
    with CountingHandler(signo) as handler, Running(guest) as running:
        running.wait_for_progress()
        guest.vcpu.immediate_exit = byte
        before_the_kick(running)
        running.kick(signo)
        result = running.outcome()
    if result.for_nothing and not handler.count():
        # It was over just before the kick came.
        raise EndedForNothingError(f"before the kick {result.describe()}")
    return result, handler.count()
