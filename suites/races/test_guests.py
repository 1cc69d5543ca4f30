# SPDX-License-Identifier: GPL-2.0-only
"""Whatever the guest does, a kick takes its vCPU out."""

from __future__ import annotations

import pytest

from harness.host.features import reason
from harness.kick.budget import Budget
from harness.kick.engine import measure_speed
from harness.kick.plan import Delays, Landing, Plan, Protocol
from harness.kick.race import Race
from harness.kick.slots import Slot
from harness.kvm.guest import Guest
from harness.kvm.running import warm_up
from harness.require import require_untouched
from suites.dimensions import (
    every_dialogue,
    every_guest_mode,
    every_irqchip_that_halts,
    pin_guest_program,
)
from suites.races.conftest import Judge

pytestmark = pytest.mark.usefixtures("capability")

# Of a guest that sleeps or leaves by itself the speed is not measured: a kick is given up only
# after so many turns as a fast guest makes in that time.
NOMINAL_TURNS = 1_000_000
WIDE = Delays(0, 60_000, 0)
WIDE_WINDOW_NS = 100_000


@pytest.mark.claim("races.guests")
@every_guest_mode
def test_spins(
    race: Race,
    kick_budget: Budget,
    require_no_loss: Judge,
) -> None:
    """A loop that touches nothing but memory, in each mode."""
    kicks = kick_budget.part(0.05)
    races = race.run(
        Plan(Protocol.HANDLER_WRITES, kicks),
        Plan(Protocol.HANDLER_WRITES, kicks // 20, delays=WIDE, window_ns=WIDE_WINDOW_NS),
    )
    require_no_loss(
        race,
        races,
        {Landing.IN_WINDOW: kicks // 200, Landing.IN_ENTRY: kicks // 50},
    )


@pytest.mark.claim("races.guests")
@every_irqchip_that_halts
@pin_guest_program("halt")
@pytest.mark.parametrize("poll", ["no_polling", "default_polling"])
def test_halts(
    slot: Slot, loaded: Guest, poll: str, kick_budget: Budget, require_no_loss: Judge
) -> None:
    """Halted in the kernel: the thread polls for a while and sleeps; nothing but a kick wakes it.

    kvm_vcpu_check_block() looks for signals before each sleep.
    """
    if poll == "no_polling" and not loaded.vm.set_halt_poll(0):
        pytest.skip(reason("no_halt_polling"))
    loaded.set_data(0, 1)
    race = Race(loaded, slot, NOMINAL_TURNS)
    kicks = kick_budget.part(0.03)
    protocol = Protocol.HANDLER_WRITES
    races = race.run(
        Plan(protocol, kicks, delays=Delays(0, 60_000, 10), halts=True),
        Plan(protocol, kicks // 10, delays=WIDE, window_ns=WIDE_WINDOW_NS, halts=True),
    )
    require_no_loss(race, races, {Landing.IN_WINDOW: kicks // 100, Landing.IN_ENTRY: kicks // 10})


@pytest.mark.claim("races.guests")
@pytest.mark.parametrize(
    "protocol",
    [Protocol.HANDLER_WRITES, Protocol.SIGNAL_MASK],
    ids=lambda protocol: protocol.value,
)
@every_dialogue
def test_leaves_by_itself(
    slot: Slot, loaded: Guest, protocol: Protocol, kick_budget: Budget, require_no_loss: Judge
) -> None:
    """Each KVM_RUN has an access to complete, and ends with the next one.

    A kick that came before KVM_RUN must end it with EINTR, not be overtaken by the guest's exit.
    """
    race = Race(loaded, slot, NOMINAL_TURNS)
    kicks = kick_budget.part(0.03)
    races = race.run(
        Plan(protocol, kicks, exits=True),
        Plan(protocol, kicks // 10, delays=WIDE, window_ns=WIDE_WINDOW_NS, exits=True),
    )
    require_no_loss(race, races, {Landing.IN_WINDOW: kicks // 100})


@pytest.mark.claim("races.guests")
def test_nested(nested: Guest, slot: Slot, kick_budget: Budget, require_no_loss: Judge) -> None:
    """A guest (L1) whose own guest (L2) spins: a kick takes both out, and L1 sees nothing."""
    require_in_second_level(nested)
    require_untouched(nested, "On a run after the guest's own guest was interrupted")
    race = Race(nested, slot, measure_speed(nested))
    kicks = kick_budget.part(0.04)
    races = race.run(
        Plan(Protocol.HANDLER_WRITES, kicks),
        Plan(Protocol.KICKER_WRITES, kicks // 20, delays=WIDE, window_ns=WIDE_WINDOW_NS),
    )
    # The last kicks may have come before the entry, or the engine's stop word after them.
    nested.clear_stop()
    warm_up(nested)
    require_in_second_level(nested)
    least = {Landing.IN_WINDOW: kicks // 200, Landing.IN_ENTRY: kicks // 50}
    require_no_loss(race, races, {**least, Landing.IN_GUEST: kicks // 50})


def require_in_second_level(guest: Guest) -> None:
    """The vCPU was taken out of L2: by its program's word, and by KVM's where it counts it (5.14).

    Programs that run a guest of their own agree on phase 2, and on data[1]: entries that ended.
    """
    __tracebackhide__ = True
    found = (guest.phase, guest.statistic("guest_mode"))
    assert found in ((2, 1), (2, None)), (
        "a signal must find the vCPU in the guest's own guest and leave it there (phase 2, KVM's "
        f"statistic guest_mode 1), but phase and guest_mode are {found}"
    )
    assert guest.data(1) == 0, (
        f"a signal to the vCPU must not be seen by the guest's hypervisor, but its guest came back "
        f"to it {guest.data(1)} times, at last with exit code {guest.data(2):#x}"
    )
