# SPDX-License-Identifier: GPL-2.0-only
"""A vCPU that is kicked all the time, of whose guest something must get done."""

from __future__ import annotations

import threading

from harness.host import pace
from harness.kvm.guest import Guest
from harness.kvm.signals import CountingHandler, ThreadTimer
from harness.require import require_runs_on, require_signal_exit
from suites.dimensions import KICK

MS = int(pace.here().stretched(1_000_000))  # nanoseconds
KICKS = 25
SPANS = 2


def require_gets_on(guest: Guest, circumstance: str) -> None:
    """Of each twenty-five runs that a kick ended one has let the guest go on.

    No clock says so: where the host gives the thread no time, its timer sends no more either.
    """
    __tracebackhide__ = True
    thread = threading.get_native_id()
    with CountingHandler(KICK), ThreadTimer(KICK, thread, MS, MS):
        for number in range(1, SPANS + 1):
            result = guest.vcpu.run_many_raw(KICKS, progress_forbidden=False)
            said = f"In {KICKS} runs of {circumstance}, kicked every ms (span {number})"
            require_signal_exit(result, said)
            before, after = result.heartbeats
            assert after != before, (
                f"{said}, the guest must get on, but it stood still: its counter was {before} "
                "before and after them"
            )
    require_runs_on(guest, f"After {SPANS * KICKS} kicks of {circumstance}")
