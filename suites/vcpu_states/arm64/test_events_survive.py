# SPDX-License-Identifier: GPL-2.0-only
"""Events that userspace made pending while KVM_RUN is called with the byte set."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.host.features import reason
from harness.kvm.arch.aarch64 import ioctls
from harness.kvm.guest import Guest
from harness.kvm.running import Running, warm_up
from harness.require import require_ended, require_left, require_untouched
from harness.ways import WayOut
from suites.dimensions import (
    every_guest_mode,
    every_irqchip,
    every_way,
    only_on,
    pin_guest_program,
)

pytestmark = [
    pytest.mark.usefixtures("capability"),
    only_on("aarch64"),
    pin_guest_program("events"),
]

REPEATS = 20
SYSTEM_ERRORS, ABORTS = 2, 3  # the program's data words
# Where the vectors of EL1 for a synchronous exception begin, by the level that it comes from.
FROM_EL0, FROM_EL1 = 0x400, 0x200


@pytest.fixture
def looping(loaded: Guest) -> Guest:
    """The program counts in its loop, with interrupts on, and was stopped there."""
    loaded.set_data(0, int(loaded.vm.irqchip != "none"))
    warm_up(loaded)
    return loaded


def require_taken_once(guest: Guest, what: str, taken: Callable[[], int]) -> None:
    """The next normal run delivers it, exactly once."""
    assert taken() == 0, f"A run that ended before the guest delivered {what}"
    with Running(guest) as running:
        running.wait_until(lambda: taken() > 0, f"the guest to take {what}")
        running.wait_for_progress()
        guest.stop()
        result = running.outcome()
    require_left(result, f"After {what}")
    assert taken() == 1, f"The guest must take {what} once, but took it {taken()} times"


@pytest.mark.claim("states.events_survive")
@every_guest_mode
@every_irqchip
@pytest.mark.keeps("irqchip")
@every_way
def test_system_error(looping: Guest, way: WayOut) -> None:
    """KVM_SET_VCPU_EVENTS with serror_pending (api.rst 4.32): it waits in HCR_EL2."""
    events = ioctls.get_events(looping.vcpu)
    events.exception.serror_pending = 1
    ioctls.set_events(looping.vcpu, events)
    require_untouched(looping, "With an SError pending", way, REPEATS)
    assert ioctls.get_events(looping.vcpu).exception.serror_pending, (
        f"After {REPEATS} runs{way.said} the SError must still be pending, but it is gone"
    )
    require_taken_once(looping, "an SError", lambda: looping.data(SYSTEM_ERRORS))
    assert not ioctls.get_events(looping.vcpu).exception.serror_pending, (
        "An SError is still pending after its delivery"
    )


@pytest.mark.claim("states.events_survive")
@every_guest_mode
@every_irqchip
@every_way
def test_external_abort(looping: Guest, way: WayOut) -> None:
    """ext_dabt_pending (KVM_CAP_ARM_INJECT_EXT_DABT, Linux 5.5): a run that the byte ends puts the
    vCPU at its vector (commit e3e880bb1518: so that a saved guest has it), once, and not one
    instruction of the handler is executed."""
    if not looping.vm.check_extension("KVM_CAP_ARM_INJECT_EXT_DABT"):
        pytest.skip(reason("no_setting", "external_abort: no KVM_CAP_ARM_INJECT_EXT_DABT"))
    events = ioctls.get_events(looping.vcpu)
    events.exception.ext_dabt_pending = 1
    ioctls.set_events(looping.vcpu, events)
    turns = looping.heartbeat
    require_ended(way.run(looping), way, "With an abort to be injected")
    architecture = looping.architecture
    registers = architecture.registers(looping.vcpu)
    offset = FROM_EL0 if looping.mode == "user" else FROM_EL1
    vector = registers["vbar_el1"] + offset
    assert registers["pc"] == vector, (
        f"After a run{way.said} the vCPU must stand at the vector of its abort, {vector:#x}, with "
        f"nothing of the handler executed, but it stands at {registers['pc']:#x}"
    )
    assert looping.heartbeat == turns, f"A run{way.said} with an abort to be injected ran the guest"
    require_untouched(looping, "With an abort that was injected", way, REPEATS)
    require_taken_once(looping, "an external abort", lambda: looping.data(ABORTS))
