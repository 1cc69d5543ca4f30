# SPDX-License-Identifier: GPL-2.0-only
"""KVM_CREATE_VM of a thread with a timer, such as each Go program and many a monitor has."""

from __future__ import annotations

import errno
import os
import threading

import pytest

from harness.host import pace
from harness.host.remains import lowest_free_descriptor, users_of_kvm
from harness.kvm.guest import create
from harness.kvm.signals import CountingHandler, ThreadTimer
from harness.kvm.system import System
from harness.require import require_runs_on
from suites.dimensions import KICK

CALLS = pace.here().choose(usual=40, slow=15)
MOST_CALLS = 4 * CALLS
MANY = 12  # calls that gave EINTR: more than VMs that come and go beside this test
US = 1000  # nanoseconds


@pytest.mark.claim("signals.create_vm")
@pytest.mark.parametrize(
    "interval_us", [50, 200, 1000], ids=["every_50_us", "every_200_us", "every_ms"]
)
def test_create_under_signals(
    kvm: System, guest_mode: str, interval_us: int, record_property: pytest.RecordProperty
) -> None:
    """A descriptor or EINTR; and no number of a descriptor, and no hold on KVM's module, is lost
    with a call that gave EINTR."""
    thread, interval = threading.get_native_id(), interval_us * US
    interrupted = 0
    free, users = lowest_free_descriptor(), users_of_kvm()
    with CountingHandler(KICK), ThreadTimer(KICK, thread, interval, interval):
        for number in range(1, MOST_CALLS + 1):
            if number > CALLS and interrupted >= MANY:
                break
            value = kvm.create_vm_once_raw()
            if value >= 0:
                os.close(value)
            interrupted += value == -errno.EINTR
            assert value >= 0 or value == -errno.EINTR, (
                f"KVM_CREATE_VM under a signal every {interval_us} us must give a descriptor or "
                f"EINTR, but call {number} gave {errno.errorcode.get(-value, value)}"
            )
    record_property("create_vm_interrupted", interrupted)
    found = lowest_free_descriptor()
    assert found == free, (
        f"After {number} calls of KVM_CREATE_VM under signals, {interrupted} of which gave EINTR, "
        f"the lowest free descriptor must be {free} as before, but it is {found}"
    )
    more = users_of_kvm() - users
    assert interrupted < MANY or more < interrupted, (
        f"After {interrupted} calls of KVM_CREATE_VM gave EINTR, KVM's modules have {more} users "
        "more than before: what the calls began is kept"
    )
    require_creates_a_vm_that_runs(kvm, guest_mode)


def require_creates_a_vm_that_runs(kvm: System, guest_mode: str) -> None:
    """Without signals KVM_CREATE_VM succeeds at once, and its VM is as good as any."""
    __tracebackhide__ = True
    value = kvm.create_vm_once_raw()
    assert value >= 0, (
        "With the timer stopped, KVM_CREATE_VM must give a descriptor, but it gave "
        f"{errno.errorcode.get(-value, value)}"
    )
    os.close(value)
    with create(kvm) as guest:
        guest.load("heartbeat", guest_mode)
        require_runs_on(guest, "In a VM made after interrupted calls of KVM_CREATE_VM")
