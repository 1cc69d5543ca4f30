# SPDX-License-Identifier: GPL-2.0-only
"""A vCPU without power, of whichever architecture: PSCI's, or the SBI's."""

from __future__ import annotations

from harness.kvm.guest import Guest
from harness.kvm.running import Running, asleep
from harness.kvm.signals import CountingHandler
from harness.require import require_signal_exit
from suites.dimensions import KICK


def require_waits(guest: Guest, circumstance: str) -> None:
    """A run of a vCPU that is off executes nothing and waits for the power, until a signal comes.

    An immediate run looks at no request, so it takes none: KVM_REQ_SLEEP is still in force.
    """
    __tracebackhide__ = True
    turns = guest.heartbeat
    with CountingHandler(KICK), Running(guest) as running:
        running.wait_until(
            lambda: guest.heartbeat != turns or asleep(guest, running.tid, counted=False),
            "the thread of a vCPU without power to sleep",
        )
        running.kick(KICK)
        result = running.outcome()
    assert guest.heartbeat == turns, (
        f"{circumstance}, a vCPU without power must wait for it, but it executes its program"
    )
    require_signal_exit(
        result, f"On a kick while a vCPU without power waits, {circumstance.lower()}"
    )
