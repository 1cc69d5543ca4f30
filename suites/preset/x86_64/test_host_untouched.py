# SPDX-License-Identifier: GPL-2.0-only
"""KVM_RUN gives the calling thread back what it borrowed, by whatever way it ends."""

from __future__ import annotations

import pytest

from harness.host.features import reason
from harness.kvm.arch.x86_64 import patterns
from harness.kvm.arch.x86_64.calling_thread import NoExtendedStateError, ThreadLook, run_looking
from harness.kvm.guest import Guest
from harness.kvm.signals import Blocked
from harness.require import require_eintr, require_left
from suites.dimensions import KICK, every_guest_mode, only_on

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64")]

TIMES = 20


def look(guest: Guest, times: int) -> ThreadLook:
    """Runs with a look at this thread around each; it blocks a signal meanwhile."""
    try:
        with Blocked(KICK):
            return run_looking(guest.vcpu, times)
    except NoExtendedStateError:
        pytest.skip(reason("other_architecture", "a processor without XSAVE"))


def require_same_thread(found: ThreadLook, circumstance: str) -> None:
    """The thread has what it had before KVM_RUN."""
    __tracebackhide__ = True
    assert not found.differences, (
        f"{circumstance}, the thread that called KVM_RUN must be as it was, but "
        f"{'; '.join(found.differences[:4])} (run {found.calls})"
    )


def runs_give_the_thread_back(guest: Guest, when: str) -> None:
    """Immediate runs of a guest with other values than the thread's wherever it has some."""
    patterns.fill(guest.vcpu, guest.vm)
    guest.vcpu.immediate_exit = 1
    found = look(guest, TIMES)
    guest.vcpu.immediate_exit = 0
    circumstance = f"In {TIMES} immediate runs {when}"
    require_same_thread(found, circumstance)
    require_eintr(found.result, circumstance)


@pytest.mark.claim("preset.host_untouched")
@every_guest_mode
def test_thread_before_first_run(loaded: Guest) -> None:
    """kvm_put_guest_fpu() follows each way out that kvm_load_guest_fpu() came before."""
    runs_give_the_thread_back(loaded, "before the first run of the guest")


@pytest.mark.claim("preset.host_untouched")
@every_guest_mode
def test_thread_after_a_run(ready: Guest) -> None:
    """The same when the guest's state was in the processor, and on a way out by the guest."""
    runs_give_the_thread_back(ready, "after the guest has run")
    ready.stop()
    found = look(ready, 1)
    circumstance = "In a run that the guest ends"
    require_same_thread(found, circumstance)
    require_left(found.result, circumstance)
