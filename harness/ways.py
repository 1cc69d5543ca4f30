# SPDX-License-Identifier: GPL-2.0-only
"""What ends a KVM_RUN before the guest executes anything: the byte, or a signal pending at entry.

Either comes after what is pending was finished (api.rst, note under KVM_EXIT_MMIO: "re-enter the
guest with an unmasked signal pending or with the immediate_exit field set"), so most of what holds
of one way holds of the other. But they are two pieces of the kernel: the byte is looked
at once, before vcpu_run(), the signal last thing before the guest, when requests were served and
events were on their way in. A test of what such a run finishes or leaves takes each way in turn
(`suites.dimensions.every_way`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from harness.kvm.arch import Architecture
from harness.kvm.guest import Guest, Witness
from harness.kvm.run import RunResult
from harness.kvm.signals import KICK, Blocked, CountingHandler
from harness.kvm.vcpu import Vcpu


@dataclass(frozen=True)
class WayOut:
    """One of the two. `said` ends the circumstance in a sentence, as in "On a re-entry" + `said`.

    `run` is the KVM_RUN; guest progress ends it. `run_many` is so many, as long as each ends so,
    and gives the last one's result. `counts` are the names of `Guest.whole()` that it may change by
    itself, each with the reason, where no event waits for the guest. `signal`: kvm_run must say
    that it was one (`harness.require.require_ended`).
    """

    name: str
    said: str
    run: Callable[[Guest], RunResult]
    run_many: Callable[[Vcpu, int], RunResult]
    counts: Callable[[Architecture], Mapping[str, str]]
    signal: bool

    def uncounted(self, before: Witness, after: Witness) -> Witness:
        """The later witness without the one statistic of it that a signal counts in."""
        return replace(after, signal_exits=before.signal_exits) if self.signal else after


def _many_by_byte(value: int) -> Callable[[Vcpu, int], RunResult]:
    def run_many(vcpu: Vcpu, times: int) -> RunResult:
        vcpu.immediate_exit = value
        try:
            return vcpu.run_many_raw(times)
        finally:
            vcpu.immediate_exit = 0

    return run_many


def _many_with_signal_pending(vcpu: Vcpu, times: int) -> RunResult:
    """Blocked by the thread, and let in by KVM_SET_SIGNAL_MASK: the one way to be certain of it.

    For a vCPU without a mask of its own: it has none afterwards. There is a handler, for a broken
    kernel that delivers the signal must not end the tests.
    """
    with CountingHandler(KICK), Blocked(KICK) as blocked:
        vcpu.set_signal_mask(())
        blocked.send(KICK)
        try:
            return vcpu.run_many_raw(times)
        finally:
            vcpu.set_signal_mask(None)


def byte(value: int) -> WayOut:
    """The byte preset to this value, 1 to 255."""
    return WayOut(
        "byte",
        f" with immediate_exit={value}",
        lambda guest: guest.run_immediate(value),
        _many_by_byte(value),
        lambda architecture: architecture.COUNTS_RUNS,
        signal=False,
    )


BYTE = byte(1)
SIGNAL = WayOut(
    "signal",
    " with a signal pending at entry",
    lambda guest: _many_with_signal_pending(guest.vcpu, 1),
    _many_with_signal_pending,
    lambda architecture: architecture.COUNTS_SIGNALS,
    signal=True,
)
WAYS = (BYTE, SIGNAL)
