# SPDX-License-Identifier: GPL-2.0-only
"""What a mask of KVM_SET_SIGNAL_MASK lets into KVM_RUN, and what it keeps out of it."""

from __future__ import annotations

from dataclasses import replace

from harness.kvm.guest import Guest
from harness.kvm.raw_mask import BlockedAll
from harness.kvm.signals import Blocked
from harness.require import (
    require_left,
    require_no_progress,
    require_same_state,
    require_signal_exit,
)
from harness.undisturbed import Tried, undisturbed
from harness.ways import SIGNAL


def require_lets_in(
    guest: Guest, blocked: Blocked | BlockedAll, number: int, circumstance: str
) -> None:
    """The pending signal ends the run before the guest's first instruction, and stays pending.

    The stop word ends the run of a kernel that keeps it out.
    """
    __tracebackhide__ = True
    said = f"With signal {number} pending, {circumstance}"
    guest.stop()
    blocked.send(number)
    whole, before = guest.whole(), guest.witness()
    result = guest.vcpu.run_raw()
    found = blocked.take(number)
    require_signal_exit(result, said)
    # The one statistic that such a run counts.
    after = replace(guest.witness(), signal_exits=before.signal_exits)
    require_no_progress(before, after, said)
    require_same_state(whole, guest.whole(), said, SIGNAL.counts(guest.architecture))
    assert found == 1, f"{said}, it must stay pending once, but it is pending {found} times"


def require_keeps_out(
    guest: Guest, blocked: Blocked | BlockedAll, number: int, circumstance: str
) -> None:
    """The guest runs to the stop word and leaves by itself; the signal stays pending."""
    __tracebackhide__ = True
    said = f"With signal {number} pending, {circumstance}"
    guest.stop()

    def run(times: int) -> Tried:
        blocked.send(number, times)
        result = guest.vcpu.run_raw(goes_on=False)
        found = blocked.take(number)
        assert found == times, f"{said}, it must stay pending once, but is pending {found} times"
        return Tried(result, result.describe() if result.for_nothing else "")

    # A signal that is let in ends a run as if nothing had.
    found = undisturbed(lambda: run(1), lambda: run(0), said)
    require_left(found.result, f"{said}, and the stop word")
