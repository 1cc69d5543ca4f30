# SPDX-License-Identifier: GPL-2.0-only
"""A vCPU that is kicked all the time, of whose guest something must get done.

Not here: a guest that locks across cache lines, where the host detects that. On mainline KVM each
such access sleeps 10 ms first, and begins anew after a signal (handle_guest_split_lock()): a guest
that is kicked more often never gets over it, with split_lock_mitigate=1 and by intention.
"""

from __future__ import annotations

import pytest

from harness.kvm.guest import Guest
from suites.dimensions import every_guest_mode
from suites.signals.getting_on import require_gets_on


@pytest.mark.claim("signals.progress")
@every_guest_mode
def test_progress_of_a_loop(ready: Guest) -> None:
    """A guest that computes."""
    require_gets_on(ready, "a guest that computes")
