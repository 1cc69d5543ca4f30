# SPDX-License-Identifier: GPL-2.0-only
"""A byte that another thread changes all the time, and a vCPU that two threads run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from harness.kick.budget import Budget
from harness.kick.slots import Slot
from harness.kick.verdict import InconclusiveError
from harness.kvm.flipping import Flipping
from harness.kvm.guest import Guest
from harness.kvm.run import RunResult
from harness.kvm.running import NotSeenError, Running
from harness.require import require_eintr, require_left
from harness.undisturbed import MOST_RUNS
from suites.dimensions import every_dialogue

pytestmark = pytest.mark.usefixtures("capability")

LEAST_OF_EACH = 5
TICKS_NS = 30_000_000


@pytest.fixture
def flipping(slot: Slot, loaded: Guest) -> Iterator[Guest]:
    """The byte goes from 0 to 1 and back throughout. The slot keeps both processors free."""
    with Flipping(loaded.vcpu):
        yield loaded


@pytest.mark.claim("races.concurrent_store")
@every_dialogue
def test_flipped_throughout(
    flipping: Guest, kick_budget: Budget, record_property: Callable[[str, object], None]
) -> None:
    """Read once, the byte decides between two ends: EINTR, or the guest's own next exit.

    The program reads and writes in turn, so an exit like the last one is the last one, left over.
    """
    interrupted = left = 0
    last = None
    for number in range(kick_budget.part(0.05)):
        result = flipping.vcpu.run_raw()
        interrupted += result.gave_eintr
        left += result.value == 0
        assert result.gave_eintr or (result.value == 0 and not result.rescue), (
            f"on run {number + 1} with immediate_exit flipped by another thread, KVM_RUN must "
            f"return EINTR or an exit of the guest's program, but {result.describe()}"
        )
        if result.value == 0:
            assert result.exit != last, (
                f"on run {number + 1} with immediate_exit flipped by another thread, KVM_RUN must "
                f"not return 0 without a new exit, but {result.describe()}, as before"
            )
            last = result.exit
    record_property("interrupted", interrupted)
    record_property("left", left)
    if min(interrupted, left) < LEAST_OF_EACH:
        raise InconclusiveError(
            f"inconclusive: {interrupted} runs found the byte set and {left} found it cleared; "
            f"both are needed, {LEAST_OF_EACH} times at least"
        )


@pytest.mark.claim("races.concurrent_store")
def test_two_threads_on_one_vcpu(ready: Guest) -> None:
    """KVM_RUN holds the vCPU's mutex: the second waits until the first has returned.

    The byte is looked at behind that mutex: set while the second waits, it ends the second.
    """
    for _ in range(MOST_RUNS):
        told, early = _both_in_run(ready)
        if any(result.spurious or result.for_nothing for result in told):
            # One came out for nothing, the other ran the guest, and it waited in its turn.
            told = sorted(told, key=lambda result: result.errno)
            if early or told[0].errno:
                continue
        if early:
            raise early
        require_left(told[0], "On the first thread")
        require_eintr(told[1], "On the second thread, the byte set before the first had left")
        return
    raise InconclusiveError(
        f"inconclusive: in each of {MOST_RUNS} tries one of the two runs ended for nothing"
    )


def _both_in_run(ready: Guest) -> tuple[list[RunResult], AssertionError | None]:
    """What came of both runs, the first one's first; and of one that ended before it was asked to.

    Nothing may end either before, but for a run that ends for nothing: both tell that by what they
    share, kvm_run, so that one may hide it from the other.
    """
    early: AssertionError | None = None
    with Running(ready) as first:
        first.wait_for_progress()
        with Running(ready) as second:
            try:
                first.wait_for_processor_time(TICKS_NS, second)
            except NotSeenError as error:
                early = error
            if second.over():
                early = AssertionError(
                    "while one thread runs a vCPU, another's KVM_RUN must wait, but "
                    f"{second.outcome().describe()}"
                )
            ready.vcpu.immediate_exit = 1
            ready.stop()
            told = [first.outcome(), second.outcome()]
    ready.vcpu.immediate_exit = 0
    ready.clear_stop()
    return told, early
