# SPDX-License-Identifier: GPL-2.0-only
"""A kick while the host has yet to find the guest's memory: userfaultfd stands in for a network."""

from __future__ import annotations

from contextlib import closing

import pytest

from guest_blobs import memory_map as at
from harness.host.features import reason
from harness.kvm.guest import Guest
from harness.kvm.running import NotSeenError, Running
from harness.kvm.signals import CountingHandler
from harness.kvm.userfault import Userfault, UserfaultUnavailableError
from harness.require import require_left, require_signal_exit
from suites.dimensions import KICK, only_on, pin_guest_mode
from suites.signals.x86_64.slow_memory import why_not_interruptible

# Kernels from 6.2 on, which all have it.
pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64")]

SLOT = 1
PAGE = 0x1000
LOAD = 1
NOT_LOADED = 0xFFFFFFFF
# Only an observation rests on this, never a failure: see why_not_interruptible().
A_MOMENT_S = 0.3


@pytest.mark.claim("signals.slow_fault")
@pin_guest_mode("protected", "long")
def test_slow_fault_of_a_load(guest: Guest, guest_mode: str) -> None:
    """commit 766576874b97 "kvm: x86: Allow to respond to generic signals during slow PF" (6.2).

    A kernel that it was taken back to passes by its behaviour; the gates are asked only where
    KVM_RUN did not come back.
    """
    memory = guest.vm.add_memory(SLOT, at.EXTRA_RAM, PAGE)
    guest.load("pages", guest_mode, {0: at.EXTRA_RAM, 1: 1, 2: LOAD, 3: NOT_LOADED})
    try:
        slow = Userfault(memory)
    except UserfaultUnavailableError as error:
        pytest.skip(reason("no_userfaultfd", str(error)))
    # The memory is let go before the run is waited for, however this ends.
    with CountingHandler(KICK) as handler, Running(guest) as running, closing(slow):
        running.wait_until(slow.waiting, "the guest to wait for its memory")
        obstacle = why_not_interruptible(guest.statistic("insn_emulation"))
        running.kick(KICK)
        interrupted = running.ends_within(
            A_MOMENT_S if obstacle else guest.vcpu.bounds.patience_s / 2
        )
        if interrupted:
            require_signal_exit(running.outcome(), "On a signal during a slow fault")
            assert handler.count() == 1, f"The handler ran {handler.count()} times"
            assert guest.data(3) == NOT_LOADED, "The load is complete before its memory was there"
            require_access_completes(guest, slow)
        else:
            # What is left of the run ends by the signal, or else by the stop word.
            slow.resolve()
            guest.stop()
    if not interrupted and obstacle:
        pytest.skip(obstacle)
    assert interrupted, (
        "On a signal during a slow fault, KVM_RUN must return -1 with EINTR, but it waited for "
        f"the memory all the while; once that was there, {running.outcome().describe()}"
    )


def require_access_completes(guest: Guest, slow: Userfault) -> None:
    """The load is done once its memory is there, and the guest goes on."""
    __tracebackhide__ = True
    with Running(guest) as running, closing(slow):
        try:
            slow.resolve()
            running.wait_until(lambda: guest.data(4) >= 2, "the guest to go on after the load")
        except NotSeenError as error:
            raise AssertionError(f"After a slow fault was interrupted: {error}") from None
        guest.stop()
        result = running.outcome()
    require_left(result, "After the interrupted fault was resolved, with the stop word")
    loaded = guest.data(3)
    assert loaded == 0, f"The load must see the zeroes that were put there, not {loaded:#x}"
