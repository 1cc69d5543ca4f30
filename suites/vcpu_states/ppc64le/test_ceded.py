# SPDX-License-Identifier: GPL-2.0-only
"""A vCPU that ceded its processor (H_CEDE): it waits in the kernel for an interrupt."""

from __future__ import annotations

import pytest

from harness.kvm.guest import Guest
from harness.kvm.running import Running
from harness.kvm.signals import CountingHandler
from harness.require import require_left, require_signal_exit, require_untouched
from harness.ways import WayOut
from suites.dimensions import KICK, every_guest_mode, every_way, only_on, pin_guest_program

pytestmark = [
    pytest.mark.usefixtures("capability"),
    only_on("ppc64le"),
    pin_guest_program("halt"),
]

REPEATS = 20


def cede_and_kick(guest: Guest, circumstance: str) -> None:
    """It waits, its thread sleeps, and a signal ends the run: the guest has had no turn more."""
    with CountingHandler(KICK) as handler, Running(guest) as running:
        running.wait_until(lambda: guest.phase == 1, "the guest to be about to cede")
        running.wait_for_sleep()
        running.kick(KICK)
        result = running.outcome()
        handled = handler.count()
    require_signal_exit(result, circumstance)
    assert handled == 1, f"The signal's handler must run once, but it ran {handled} times"
    assert guest.heartbeat == 1, (
        f"{circumstance}, the guest must still wait in its first turn, but it is in turn "
        f"{guest.heartbeat}"
    )


@pytest.mark.claim("states.halted")
@every_guest_mode
@every_way
def test_ended_while_ceded(loaded: Guest, way: WayOut) -> None:
    """By a kick while it sleeps, then by the byte and by a signal at entry; then it waits again."""
    cede_and_kick(loaded, "On a kick while the vCPU has ceded")
    require_untouched(loaded, "On a vCPU that had ceded", way, REPEATS)
    cede_and_kick(loaded, f"On a kick after runs{way.said}")
    loaded.stop()
    require_left(loaded.vcpu.run_raw(), "With the stop word set, after the wait was ended")


@pytest.mark.claim("states.halted")
@every_guest_mode
@every_way
def test_interrupt_pending(loaded: Guest, way: WayOut) -> None:
    """What is to end the wait is pending: EINTR, nothing runs, and then it ends the wait."""
    cede_and_kick(loaded, "On a kick while the vCPU has ceded")
    loaded.architecture.deliver_interrupt(loaded.vm, loaded.vcpu)
    require_untouched(loaded, "With an interrupt pending", way, REPEATS)
    assert loaded.ticks == 0, f"A run{way.said} delivered the interrupt"
    with Running(loaded) as running:
        running.wait_until(lambda: loaded.ticks > 0, "the interrupt to end the wait")
        loaded.stop()
        require_left(running.outcome(), "After the interrupt")
