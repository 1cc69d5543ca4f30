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
from harness.kvm.running import Running
from harness.require import require_eintr, require_left
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
    with Running(ready) as first:
        first.wait_for_progress()
        with Running(ready) as second:
            first.wait_for_processor_time(TICKS_NS, second)
            assert not second.over(), (
                "while one thread runs a vCPU, another's KVM_RUN must wait, but "
                f"{second.outcome().describe()}"
            )
            ready.vcpu.immediate_exit = 1
            ready.stop()
            first_result = first.outcome()
            second_result = second.outcome()
    ready.vcpu.immediate_exit = 0
    if first_result.spurious or first_result.for_nothing:
        # It came out for nothing meanwhile, the second ran the guest, and it waited in its turn.
        first_result, second_result = sorted(
            (first_result, second_result), key=lambda result: result.errno
        )
        if first_result.errno:
            raise InconclusiveError("inconclusive: both runs ended, one of them for nothing")
    require_left(first_result, "On the first thread")
    require_eintr(second_result, "On the second thread, the byte set before the first had left")
