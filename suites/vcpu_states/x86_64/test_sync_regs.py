# SPDX-License-Identifier: GPL-2.0-only
"""Registers that are passed in kvm_run itself, KVM_CAP_SYNC_REGS."""

from __future__ import annotations

from typing import Any

import pytest

from harness.host.features import reason
from harness.kvm.arch.x86_64 import ioctls, state
from harness.kvm.guest import Guest
from harness.kvm.running import Running, warm_up
from harness.require import (
    require_ended,
    require_left,
    require_runs_on,
    require_stopped,
    require_untouched,
)
from harness.ways import BYTE, WayOut
from suites.dimensions import (
    every_guest_mode,
    every_way,
    only_on,
    pin_guest_program,
)
from suites.interrupts import require_ticks

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64"), pin_guest_program("events")]

SETS = ("regs", "sregs", "events")
POISON = 0xA5
SCRATCH = 0x1234_5678
FAULT_ADDRESS = 0x5A5A_5000

one_set = pytest.mark.parametrize("kind", SETS)


@pytest.fixture
def sharing(loaded: Guest) -> Guest:
    """A guest that counts in its loop, of a KVM that shares all three sets."""
    wanted = sum(ioctls.sync_bit(kind) for kind in SETS)
    if loaded.vm.check_extension("KVM_CAP_SYNC_REGS") & wanted != wanted:
        pytest.skip(reason("no_sync_regs"))
    warm_up(loaded)
    return loaded


def shared(guest: Guest, kind: str) -> Any:
    """A set in kvm_run."""
    return getattr(ioctls.sync_regs(guest.vcpu), kind)


def by_ioctl(guest: Guest, kind: str) -> dict[str, int]:
    """The same set by its ioctl, field by field."""
    getters = {
        "regs": ioctls.get_regs,
        "sregs": ioctls.get_sregs,
        "events": ioctls.get_events,
    }
    return state.fields(getters[kind](guest.vcpu))


def require_stored(guest: Guest, kind: str) -> None:
    """The set in kvm_run is what its ioctl gives."""
    found = state.fields(shared(guest, kind))
    wrong = [
        f"{name} is {found[name]:#x} instead of {value:#x}"
        for name, value in by_ioctl(guest, kind).items()
        # KVM sets bits in interrupt_bitmap, but clears none: the caller's part.
        if found[name] != value and not name.startswith("interrupt_bitmap")
    ]
    assert not wrong, (
        f"With {kind} in kvm_valid_regs, KVM_RUN must store what the ioctl gives, but "
        + "; ".join(wrong[:5])
    )


@pytest.mark.claim("states.sync_regs")
@one_set
@every_guest_mode
@every_way
def test_valid_set_is_stored(sharing: Guest, kind: str, way: WayOut) -> None:
    """A set named in kvm_valid_regs is there after a run of each way; the others are untouched."""
    for name in SETS:
        state.fill(shared(sharing, name), POISON)
    poisoned = {name: state.fields(shared(sharing, name)) for name in SETS}
    sharing.vcpu.run_page.kvm_valid_regs = ioctls.sync_bit(kind)
    require_stopped(sharing, f"With {kind} in kvm_valid_regs", way)
    assert sharing.vcpu.run_page.kvm_valid_regs == ioctls.sync_bit(kind), (
        "kvm_valid_regs was changed"
    )
    require_stored(sharing, kind)
    for name in set(SETS) - {kind}:
        assert state.fields(shared(sharing, name)) == poisoned[name], (
            f"{name} was stored by a run{way.said}, but kvm_valid_regs named {kind}"
        )
    sharing.vcpu.run_page.kvm_valid_regs = 0
    require_runs_on(sharing, f"After a run{way.said} that stored registers")


@pytest.mark.claim("states.sync_regs")
@every_guest_mode
@every_way
def test_dirty_registers_are_taken(sharing: Guest, way: WayOut) -> None:
    """A set named in kvm_dirty_regs is taken by a run of each way, and its bit cleared: once."""
    set_scratch(sharing, SCRATCH, way)
    require_scratch(sharing, f"A run{way.said} must take regs that kvm_dirty_regs names")
    shared(sharing, "regs").rbp = SCRATCH + 1
    require_untouched(sharing, "With the bit of regs cleared", way)
    require_scratch(sharing, f"A run{way.said} must not take regs that kvm_dirty_regs names not")
    require_runs_on(sharing, f"After a run{way.said} that took registers")
    require_scratch(sharing, f"A normal run must keep the regs that one{way.said} took")


def require_scratch(guest: Guest, rule: str) -> None:
    """RBP is what the test set."""
    found = guest.architecture.scratch(guest.vcpu)
    assert found == SCRATCH, f"{rule}, but RBP is {found:#x} instead of {SCRATCH:#x}"


def set_scratch(guest: Guest, value: int, way: WayOut = BYTE) -> None:
    """RBP by kvm_dirty_regs and a run of this way."""
    state.copy(shared(guest, "regs"), ioctls.get_regs(guest.vcpu))
    shared(guest, "regs").rbp = value
    run_with_dirty(guest, "regs", way)


def run_with_dirty(guest: Guest, kind: str, way: WayOut = BYTE) -> None:
    """A run of this way with a set named in kvm_dirty_regs: EINTR, and the bit is cleared."""
    guest.vcpu.run_page.kvm_dirty_regs = ioctls.sync_bit(kind)
    turns = guest.heartbeat
    circumstance = f"With {kind} in kvm_dirty_regs, in a run{way.said}"
    require_ended(way.run(guest), way, f"With {kind} in kvm_dirty_regs,")
    assert guest.heartbeat == turns, f"{circumstance}, the guest executed instructions"
    left = int(guest.vcpu.run_page.kvm_dirty_regs)
    assert left == 0, f"{circumstance}, KVM_RUN must clear kvm_dirty_regs, but it is {left:#x}"


@pytest.mark.claim("states.sync_regs")
@every_guest_mode
def test_dirty_system_registers_are_taken(sharing: Guest) -> None:
    """The same for sregs, by CR2."""
    state.copy(shared(sharing, "sregs"), ioctls.get_sregs(sharing.vcpu))
    shared(sharing, "sregs").cr2 = FAULT_ADDRESS
    run_with_dirty(sharing, "sregs")
    found = int(ioctls.get_sregs(sharing.vcpu).cr2)
    assert found == FAULT_ADDRESS, (
        "With sregs in kvm_dirty_regs, an immediate run must take them, but CR2 is "
        f"{found:#x} instead of {FAULT_ADDRESS:#x}"
    )
    require_runs_on(sharing, "After an immediate run that took system registers")


@pytest.mark.claim("states.sync_regs")
@every_guest_mode
def test_dirty_events_are_taken(sharing: Guest) -> None:
    """The same for events: the interrupt is not delivered yet, and once by the next run."""
    state.copy(shared(sharing, "events"), ioctls.get_events(sharing.vcpu))
    interrupt = shared(sharing, "events").interrupt
    interrupt.injected, interrupt.nr = 1, ioctls.INTERRUPT_VECTOR
    run_with_dirty(sharing, "events")
    require_untouched(sharing, "With an interrupt passed by kvm_dirty_regs")
    assert ioctls.get_events(sharing.vcpu).interrupt.injected, (
        "With events in kvm_dirty_regs, an immediate run must take them, but there is no interrupt"
    )
    with Running(sharing) as running:
        running.wait_until(lambda: sharing.ticks > 0, "the guest to take the interrupt")
        running.wait_for_progress()
        sharing.stop()
        result = running.outcome()
    require_left(result, "After an interrupt passed by kvm_dirty_regs")
    require_ticks(sharing, 1, "After an interrupt passed by kvm_dirty_regs")


@pytest.mark.claim("states.sync_regs")
@every_guest_mode
def test_taken_and_stored_in_one_run(sharing: Guest) -> None:
    """Both fields in one immediate run: what was taken is what is stored."""
    state.fill(shared(sharing, "sregs"), POISON)
    sharing.vcpu.run_page.kvm_valid_regs = ioctls.sync_bit("regs") | ioctls.sync_bit("sregs")
    set_scratch(sharing, SCRATCH)
    require_stored(sharing, "regs")
    require_stored(sharing, "sregs")
    require_scratch(sharing, "An immediate run must take regs that kvm_dirty_regs names")
