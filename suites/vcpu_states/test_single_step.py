# SPDX-License-Identifier: GPL-2.0-only
"""Single-stepping by the host."""

from __future__ import annotations

import pytest

from harness.host.features import reason
from harness.kvm import exits
from harness.kvm.guest import Guest
from harness.require import require_exit, require_left, require_untouched
from suites.dimensions import every_guest_mode, pin_guest_program

pytestmark = [pytest.mark.usefixtures("capability"), pin_guest_program("steps")]

STEPS = 8
REPEATS = 3
SEARCH = 100  # more steps than a turn of the program has


def step(guest: Guest, circumstance: str) -> None:
    """One KVM_RUN that must end after one instruction."""
    require_exit(guest.vcpu.run_raw(), exits.Debug, circumstance)


@pytest.mark.claim("states.single_step")
@every_guest_mode
def test_steps(ready: Guest) -> None:
    """Immediate runs take no step; each normal run between them takes exactly one."""
    steps = ready.architecture.SINGLE_STEPS
    if not steps or not ready.vm.check_extension("KVM_CAP_SET_GUEST_DEBUG"):
        pytest.skip(reason("no_guest_debug"))
    first, behind, count = ready.data(0), ready.data(1), ready.data(2)
    width = (behind - first) // count
    ready.vcpu.set_guest_debug(single_step=True)
    for _ in range(SEARCH):
        if ready.architecture.program_counter(ready.vcpu) == first:
            break
        step(ready, "With single-stepping on")
    else:
        raise AssertionError(f"{SEARCH} steps never came to the start of the program's loop")
    for number in range(1, STEPS + 1):
        require_untouched(ready, "With single-stepping on", times=REPEATS)
        before = ready.witness()
        step(ready, "After immediate runs with single-stepping on")
        after = ready.witness().registers
        changed = {
            name: after[name] - value
            for name, value in before.registers.items()
            if after[name] != value
        }
        assert ready.architecture.program_counter(ready.vcpu) == first + number * width, (
            f"Step {number} after immediate runs must end behind one instruction, at "
            f"{first + number * width:#x}, but these registers changed: {changed}"
        )
        assert sorted(changed.values()) == sorted([1, width]), (
            f"Step {number} must add 1 to one register and move the program counter by {width}, "
            f"but these registers changed: {changed}"
        )
    ready.vcpu.set_guest_debug(single_step=False)
    ready.stop()
    require_left(ready.vcpu.run_raw(), "After single-stepping was turned off")
