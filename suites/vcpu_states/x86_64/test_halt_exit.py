# SPDX-License-Identifier: GPL-2.0-only
"""A halt that leaves KVM_RUN, for the interrupt controller is in userspace: KVM_EXIT_HLT."""

from __future__ import annotations

import pytest

from harness.kvm import exits
from harness.kvm.guest import Guest
from harness.require import require_exit, require_untouched
from harness.ways import WayOut
from suites.dimensions import (
    every_guest_mode,
    every_way,
    only_on,
    pin_guest_program,
    pin_irqchip,
)

pytestmark = [
    pytest.mark.usefixtures("capability"),
    only_on("x86_64"),
    pin_guest_program("halt"),
    pin_irqchip("none"),
]

TURNS = (1, 2, 20)  # immediate runs in each; a defect that toggles cancels out over an even number


@pytest.mark.claim("states.halted")
@every_guest_mode
@every_way
def test_halt_that_leaves(loaded: Guest, way: WayOut) -> None:
    """__kvm_emulate_halt(): the guest is behind its HLT at the exit, and nothing is left to
    complete. An interrupt gives it one turn, to the next."""
    require_exit(loaded.vcpu.run_raw(), exits.Hlt, "At a HLT without a local APIC")
    for turn, times in enumerate(TURNS, 1):
        said = f"After KVM_EXIT_HLT number {turn}"
        require_untouched(loaded, said, way, times)
        loaded.architecture.deliver_interrupt(loaded.vm, loaded.vcpu)
        require_exit(loaded.vcpu.run_raw(), exits.Hlt, f"{said}, runs{way.said}, and an interrupt")
        found = loaded.ticks, loaded.heartbeat
        assert found == (turn, turn + 1), (
            f"{said}, runs{way.said}, and an interrupt, the guest must have taken {turn} of them "
            f"and halted {turn + 1} times, but it counted {found[0]} and {found[1]}"
        )
