# SPDX-License-Identifier: GPL-2.0-only
"""One KVM_RUN, bounded, and what came of it.

A broken kernel may never come back, so a second thread stands beside each run (native/run.c). A
rescued run is an outcome of its own: the sentence says what the guest did meanwhile.
"""

from __future__ import annotations

import errno as errno_module
import os
from dataclasses import dataclass, field
from typing import Any

from harness.kvm import exits
from harness.native import ffi, lib

NS = 1_000_000_000


def slow_machine_factor() -> float:
    """How much longer everything may take: 1, or 10 where KSFT_MACHINE_SLOW=yes (netdev's sign)."""
    return 10.0 if os.environ.get("KSFT_MACHINE_SLOW", "").lower() in ("yes", "1", "true") else 1.0


@dataclass
class Bounds:
    """How long a run may last, seconds, and where the guest's words are (`uint32_t *` or None).

    The bounds tell a hang from a run; no verdict rests on them where the guest moved on, for then
    the rescue comes at once (`progress_forbidden`). Patience is counted in the time of who waits,
    which a starved host stretches by itself; so a slow one gets twice as much, not ten times. The
    time from the first signal to the end of the process is counted in signals, 150 on any host.
    """

    patience_s: float = field(default_factory=lambda: 10.0 * min(slow_machine_factor(), 2.0))
    signal_after_s: float = field(default_factory=lambda: 1.0 * min(slow_machine_factor(), 2.0))
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
    """The host gives no thread to watch a run: its limits, no verdict about the kernel."""


class RescuedError(AssertionError):
    """KVM_RUN did not come back by itself: a verdict about the kernel, wherever it is raised."""


@dataclass(frozen=True)
class RunResult:
    """What KVM_RUN returned.

    `value` is ioctl(2)'s, `errno` 0 unless it is -1; `exit_reason` the number in kvm_run
    afterwards, whatever the value; `exit` the decoded exit, only when the value is 0 (api.rst: the
    reason means something "when KVM_RUN has returned successfully"); `heartbeats` the guest's
    counter before and after; `runs` how many KVM_RUNs were issued, the last of which this tells of.
    """

    value: int
    errno: int
    exit_reason: int
    exit: exits.Exit | None
    rescue: Rescue | None
    heartbeats: tuple[int, int]
    elapsed_ns: int
    runs: int = 1

    def describe(self) -> str:
        """`KVM_RUN returned -1 with EINTR (exit_reason KVM_EXIT_INTR)`, and the rescue if any."""
        if self.value < 0:
            name = errno_module.errorcode.get(self.errno, str(self.errno))
            text = f"-1 with {name} (exit_reason {exits.reason_name(self.exit_reason)})"
        else:
            text = f"{self.value} with {exits.reason_name(self.exit_reason)}: {self.exit}"
        rescued = f"; {self.rescue.sentence()}" if self.rescue else ""
        return f"KVM_RUN returned {text}{rescued}"

    def raise_if_rescued(self) -> None:
        """Raises `RescuedError` when the run had to be ended from outside."""
        if self.rescue:
            raise RescuedError(self.describe())


def bounded_run(
    fd: int,
    run_page: Any,
    bounds: Bounds,
    argument: int,
    progress_forbidden: bool,
    times: int = 1,
) -> RunResult:
    """Issues KVM_RUN, `times` as long as each gives EINTR without a rescue; all in one bound.

    Raises `WatchError` if the watching thread cannot be started.
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
    result = ffi.new("struct ke_run_result *")
    error = lib.ke_run(request, result)
    if error:
        raise WatchError(-error, f"no thread to watch KVM_RUN: {os.strerror(-error)}")
    return RunResult(
        value=result.value,
        errno=result.error,
        exit_reason=int(run_page.exit_reason),
        exit=exits.decode(run_page) if result.value == 0 else None,
        rescue=_rescue(result),
        heartbeats=(result.heartbeat_before, result.heartbeat_after),
        elapsed_ns=result.elapsed_ns,
        runs=result.runs,
    )


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
