# SPDX-License-Identifier: GPL-2.0-only
"""A vCPU that is kicked all the time, of a guest that leaves guest mode by itself as often."""

from __future__ import annotations

import pytest

from harness.kvm.guest import Guest
from suites.dimensions import only_on, pin_guest_program, pin_irqchip
from suites.signals.getting_on import require_gets_on

pytestmark = only_on("x86_64")

NO_PROCESSOR = 0, 1000  # the data word of the program icr_writer: no APIC has this id


@pytest.mark.claim("signals.progress")
@pin_guest_program("icr_writer")
@pin_irqchip("split")
def test_progress_between_exits(loaded: Guest) -> None:
    """KVM enters such a guest again after each exit, which is a way of its own."""
    loaded.set_data(*NO_PROCESSOR)
    require_gets_on(loaded, "a guest that exits again and again")
