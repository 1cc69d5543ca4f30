# SPDX-License-Identifier: GPL-2.0-only
"""One KVM_RUN, bounded, and what came of it.

A broken kernel may never come back, so a second thread stands beside each run (native/run.c). A
rescued run is an outcome of its own: the sentence says what the guest did meanwhile.
"""

from __future__ import annotations

import errno as errno_module
import os
import resource
from dataclasses import dataclass, field
from typing import Any

from harness.host import pace
from harness.kvm import call_log, exits
from harness.native import ffi, lib

NS = 1_000_000_000


@dataclass
class Bounds:
    """How long a run may last, seconds, and where the guest's words are (`uint32_t *` or None).

    The bounds tell a hang from a run; no verdict rests on them where the guest moved on, for then
    the rescue comes at once (`progress_forbidden`). The time from the first signal to the end of
    the process is counted in signals, 150 on any host.
    """

    patience_s: float = field(default_factory=lambda: pace.here().patience(10.0))
    signal_after_s: float = field(default_factory=lambda: pace.here().patience(1.0))
    end_after_s: float = 3.0
    heartbeat: Any = None
    stop: Any = None


@dataclass(frozen=True)
class Rescue:
    """A run that had to be ended from outside.

    `by` is "stop word" or "signal", `after_s` when the rescue began, `signals` how many were sent;
    the heartbeats are the guest's counter before the run, at the rescue and after the run.
    """

    by: str
    after_s: float
    signals: int
    heartbeat_before: int
    heartbeat_at_rescue: int
    heartbeat_after: int

    def sentence(self) -> str:
        """What happened, for a bug report."""
        turns = (self.heartbeat_at_rescue - self.heartbeat_before) & 0xFFFFFFFF
        guest = (
            f"the guest ran on ({turns} turns of its loop)" if turns else "the guest stood still"
        )
        return f"{guest} for {self.after_s:.2f} s until the {self.by} ended the run"


class WatchError(OSError):
    """The host gives no thread, signal or clock to watch a run: no verdict about the kernel."""


class RescuedError(AssertionError):
    """KVM_RUN did not come back by itself: a verdict about the kernel, wherever it is raised."""


@dataclass(frozen=True)
class RunResult:
    """What KVM_RUN returned.

    `value` is ioctl(2)'s, `errno` 0 unless it is -1; `exit_reason` the number in kvm_run
    afterwards, whatever the value; `exit` the decoded exit, only when the value is 0 (api.rst: the
    reason means something "when KVM_RUN has returned successfully"); `heartbeats` the guest's
    counter before and after; `runs` how many KVM_RUNs were issued, the last of which this tells of.
    `spurious` counts returns with EINTR and KVM_EXIT_INTR for which there was no signal, which is
    legal: each time KVM_RUN was issued again (native/run.c), and these are not in `runs`.
    `interrupted`: EINTR, and this very run wrote KVM_EXIT_INTR, as one that a signal ends; where
    the byte was set at entry, the reason may be that of the run before.
    """

    value: int
    errno: int
    exit_reason: int
    exit: exits.VcpuExit | None
    rescue: Rescue | None
    heartbeats: tuple[int, int]
    elapsed_ns: int
    runs: int = 1
    spurious: int = 0
    interrupted: bool = False

    @property
    def gave_eintr(self) -> bool:
        """It returned -1 with EINTR, by itself."""
        return self.value == -1 and self.errno == errno_module.EINTR and not self.rescue

    @property
    def for_nothing(self) -> bool:
        """It ended by itself, as a signal ends a run. Whether there was one, others know."""
        return self.interrupted and not self.rescue

    def describe(self) -> str:
        """`KVM_RUN returned -1 with EINTR (exit_reason KVM_EXIT_INTR)`.

        Of a run that was rescued first that it did not return by itself, and last what it then
        returned: that may be the very thing that it must return.
        """
        if self.value < 0:
            name = errno_module.errorcode.get(self.errno, str(self.errno))
            text = f"-1 with {name} (exit_reason {exits.reason_name(self.exit_reason)})"
        else:
            text = f"{self.value} with {exits.reason_name(self.exit_reason)}: {self.exit}"
        if self.spurious:
            text += f", after {self.spurious:,} times EINTR without a signal"
        if self.rescue:
            rescued = self.rescue.sentence()
            return f"KVM_RUN did not return by itself: {rescued}; it then returned {text}"
        return f"KVM_RUN returned {text}"

    def raise_if_rescued(self) -> None:
        """Raises `RescuedError` when the run had to be ended from outside."""
        if self.rescue:
            raise RescuedError(self.describe())


class _Counter:
    """Returns for nothing in this process, for whoever tells of them."""

    count = 0


returns_for_nothing = _Counter()


def bounded_run(
    fd: int,
    run_page: Any,
    bounds: Bounds,
    argument: int,
    progress_forbidden: bool,
    times: int = 1,
    *,
    goes_on: bool = True,
    masked: int | None = None,
    thread: Any = None,
) -> RunResult:
    """Issues KVM_RUN, `times` as long as each gives EINTR without a rescue; all in one bound.

    `masked` are the signals that KVM_SET_SIGNAL_MASK blocks inside, bit 0 for signal 1; None
    without one. `thread` is a `struct ke_calling_thread *` to be looked at around each KVM_RUN.
    EINTR for nothing is no end of a run that `goes_on`. Raises `WatchError` where the host does
    not do its part.
    """
    request = ffi.new("struct ke_run_request *")
    request.vcpu_fd = fd
    request.argument = argument
    request.heartbeat = bounds.heartbeat if bounds.heartbeat is not None else ffi.NULL
    request.stop = bounds.stop if bounds.stop is not None else ffi.NULL
    request.progress_forbidden = progress_forbidden
    request.patience_ns = int(bounds.patience_s * NS)
    request.signal_after_ns = int(bounds.signal_after_s * NS)
    request.end_after_ns = int(bounds.end_after_s * NS)
    request.times = times
    request.run, request.goes_on = run_page, goes_on
    request.masked, request.mask = masked is not None, masked or 0
    request.thread = thread if thread is not None else ffi.NULL
    result = ffi.new("struct ke_run_result *")
    log = call_log.current
    number = log.run_begins(fd, run_page, times, argument) if log else 0
    error = lib.ke_run(request, result)
    if error:
        raise WatchError(-error, _why_unwatched(-error))
    returns_for_nothing.count += result.spurious
    told = RunResult(
        value=result.value,
        errno=result.error,
        exit_reason=int(run_page.exit_reason),
        exit=exits.decode(run_page) if result.value == 0 else None,
        rescue=_rescue(result),
        heartbeats=(result.heartbeat_before, result.heartbeat_after),
        elapsed_ns=result.elapsed_ns,
        runs=result.runs,
        spurious=result.spurious,
        interrupted=bool(result.interrupted),
    )
    if log:
        log.run_ends(number, fd, run_page, told)
    return told


def _why_unwatched(error: int) -> str:
    """What the host did not give."""
    if error == errno_module.EAGAIN and not resource.getrlimit(resource.RLIMIT_SIGPENDING)[0]:
        return (
            "a KVM_RUN cannot be watched, for this process may not queue a signal: its limit of "
            "pending signals is 0 (`ulimit -i`)"
        )
    if error == errno_module.ETIME:
        return "a KVM_RUN cannot be watched, for this process is shown a wrong time (libfaketime?)"
    return f"a KVM_RUN cannot be watched: {os.strerror(error)}"


def _rescue(result: Any) -> Rescue | None:
    if result.rescue == lib.KE_NOT_RESCUED:
        return None
    by_stop_word = result.rescue == lib.KE_RESCUED_BY_STOP_WORD
    return Rescue(
        by="stop word" if by_stop_word else "signal",
        after_s=result.rescued_at_ns / NS,
        signals=result.rescue_signals,
        heartbeat_before=result.heartbeat_before,
        heartbeat_at_rescue=result.heartbeat_at_rescue,
        heartbeat_after=result.heartbeat_after,
    )
