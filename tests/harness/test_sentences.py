# SPDX-License-Identifier: GPL-2.0-only
"""A sentence for a bug report says what must be and what was, and these are never the same."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from harness.kvm.abi import constant
from harness.kvm.run import Rescue, RunResult
from harness.require import require_eintr, require_errno, require_signal_exit

RESCUE = Rescue(
    by="signal",
    after_s=11.0,
    signals=1,
    heartbeat_before=3,
    heartbeat_at_rescue=3,
    heartbeat_after=3,
)
REQUIREMENTS: list[Callable[[RunResult, str], None]] = [
    require_eintr,
    require_signal_exit,
    lambda result, said: require_errno(result, errno.EINTR, said),
]


@pytest.mark.parametrize("require", REQUIREMENTS, ids=["eintr", "signal_exit", "errno"])
def test_a_rescued_run_did_not_return_by_itself(require: Callable[[RunResult, str], None]) -> None:
    """A vCPU that waits is rescued by a signal, which gives the very EINTR that was to come."""
    result = RunResult(
        value=-1,
        errno=errno.EINTR,
        exit_reason=constant("KVM_EXIT_INTR"),
        exit=None,
        rescue=RESCUE,
        heartbeats=(3, 3),
        elapsed_ns=11,
    )
    with pytest.raises(AssertionError) as caught:
        require(result, "On a halted vCPU with immediate_exit=1")
    said = str(caught.value)
    wanted, _, found = said.partition(", but KVM_RUN ")
    assert wanted == "On a halted vCPU with immediate_exit=1, KVM_RUN must return -1 with EINTR"
    assert found.startswith("did not return by itself: the guest stood still for 11.00 s until ")
    assert found.endswith("; it then returned -1 with EINTR (exit_reason KVM_EXIT_INTR)")
