# SPDX-License-Identifier: GPL-2.0-only
"""The dirty ring, and the dirty log: what an immediate run does to them is nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from guest_blobs import memory_map as at
from harness.host.features import reason
from harness.kvm import arch, exits
from harness.kvm.guest import RAM_SLOT, Guest
from harness.kvm.memory import PAGE_BYTES
from harness.kvm.speech import Word
from harness.kvm.vm import Vm
from harness.require import (
    require_eintr,
    require_exit,
    require_left,
    require_said,
    require_untouched,
)
from suites.dimensions import every_guest_mode, guest_modes_with_pages

pytestmark = pytest.mark.usefixtures("capability")

EXTRA_SLOT = 1
ADDRESS, PAGES, LEAVE, PAGE = 0, 1, 5, 6  # the program's data words
REPEATS = 50


@pytest.fixture
def ringed(vm: Vm) -> Iterator[Guest]:
    """A guest whose vCPU has the smallest dirty ring that this KVM takes."""
    if not vm.offers_dirty_ring():
        pytest.skip(reason("no_dirty_ring"))
    vm.enable_smallest_dirty_ring()
    with Guest(vm, arch.current()) as guest:
        entries, address = guest.vcpu.dirty_ring_entries(), guest.address(at.EXTRA_RAM)
        guest.vm.add_memory(EXTRA_SLOT, address, 4 * entries * PAGE_BYTES, log_dirty=True)
        guest.set_data(ADDRESS, address)
        guest.set_data(PAGES, 4 * entries)
        guest.set_data(LEAVE, 1)
        guest.set_data(PAGE, PAGE_BYTES)
        yield guest


def fill(guest: Guest) -> None:
    """Runs the guest over ever more pages until its ring is full.

    It leaves after each page, so that each is followed by a look at the ring. A backend that runs
    on for long without one would else overrun it: another defect than the one looked for.
    """
    for _ in range(guest.vcpu.dirty_ring_entries()):
        result = guest.vcpu.run_raw()
        if isinstance(result.exit, exits.DirtyRingFull):
            return
        require_said(result, Word.SYNC, "With a ring that is not full")
    raise AssertionError("The guest wrote as many pages as the dirty ring has entries: never full")


def require_still_full(guest: Guest, circumstance: str) -> None:
    """KVM_RUN says again that the ring is full, and the guest does not move."""
    turns = guest.heartbeat
    require_exit(guest.vcpu.run_raw(progress_forbidden=True), exits.DirtyRingFull, circumstance)
    assert guest.heartbeat == turns, (
        f"{circumstance}, the guest must wait, but it wrote {guest.heartbeat - turns} pages more"
    )


@pytest.mark.claim("states.dirty_ring")
@guest_modes_with_pages
def test_full(ringed: Guest, guest_mode: str) -> None:
    """Full with the byte set: EINTR. Cleared: full again, until the ring is reset."""
    ringed.load("pages", guest_mode)
    fill(ringed)
    require_untouched(ringed, "With a full dirty ring", times=REPEATS)
    require_still_full(ringed, "With the byte cleared and the ring still full")
    require_untouched(ringed, "With a full dirty ring")
    collected = ringed.vcpu.collect_dirty_ring()
    require_untouched(ringed, "With a full dirty ring, collected but not reset")
    require_still_full(ringed, "After an immediate run, with the ring collected but not reset")
    taken = ringed.vm.reset_dirty_rings()
    assert taken == len(collected) > 0, (
        f"KVM_RESET_DIRTY_RINGS must take back the {len(collected)} entries, but took {taken}"
    )
    require_untouched(ringed, "After the reset of a full ring")
    turns = ringed.heartbeat
    fill(ringed)
    assert ringed.heartbeat > turns, "After the reset of a full ring the guest must run on"


@pytest.mark.claim("states.dirty_ring")
@guest_modes_with_pages
def test_every_page_is_named(ringed: Guest, guest_mode: str) -> None:
    """With immediate runs between the fillings, the ring still names every page written."""
    ringed.load("pages", guest_mode)
    named: set[tuple[int, int]] = set()
    for _ in range(2):
        fill(ringed)
        require_untouched(ringed, "With a full dirty ring")
        named.update(ringed.vcpu.collect_dirty_ring())
        require_untouched(ringed, "With a full dirty ring that was collected")
        ringed.vm.reset_dirty_rings()
        require_untouched(ringed, "With a ring that was reset")
    # The guest counts the pages, and does not come round to the first one again.
    missing = sorted({(EXTRA_SLOT, page) for page in range(ringed.heartbeat)} - named)
    assert not missing, (
        f"{len(missing)} of {ringed.heartbeat} pages were written but not named, such as "
        f"{missing[:3]}"
    )


@pytest.mark.claim("states.dirty_ring")
@every_guest_mode
def test_ring_stays_empty(ringed: Guest, guest_mode: str) -> None:
    """An immediate run dirties nothing: no entry for any of the guest's memory."""
    ringed.load("heartbeat", guest_mode)
    ringed.vm.start_dirty_log(RAM_SLOT)
    require_nothing_dirty(ringed, lambda: set(ringed.vcpu.collect_dirty_ring()), "On a first run")
    run_to_its_end(ringed)
    assert (RAM_SLOT, at.MAILBOX // PAGE_BYTES) in ringed.vcpu.collect_dirty_ring(), (
        "A normal run wrote the guest's mailbox page, but the dirty ring does not name it"
    )
    ringed.vm.reset_dirty_rings()
    require_nothing_dirty(ringed, lambda: set(ringed.vcpu.collect_dirty_ring()), "On a later run")


@pytest.mark.claim("states.dirty_ring")
@every_guest_mode
def test_log_stays_empty(loaded: Guest) -> None:
    """The same by KVM_GET_DIRTY_LOG, which every KVM has."""
    loaded.vm.start_dirty_log(RAM_SLOT)
    require_nothing_dirty(loaded, lambda: loaded.vm.dirty_pages(RAM_SLOT), "On a first run")
    run_to_its_end(loaded)
    assert at.MAILBOX // PAGE_BYTES in loaded.vm.dirty_pages(RAM_SLOT), (
        "A normal run wrote the guest's mailbox page, but the dirty log does not name it"
    )
    require_nothing_dirty(loaded, lambda: loaded.vm.dirty_pages(RAM_SLOT), "On a later run")


def require_nothing_dirty(guest: Guest, dirty: Callable[[], object], circumstance: str) -> None:
    """Immediate runs, and nothing is dirty behind them."""
    for _ in range(REPEATS):
        require_untouched(guest, circumstance)
    found = dirty()
    assert not found, f"{circumstance}, immediate runs dirtied these pages: {found}"


def run_to_its_end(guest: Guest) -> None:
    """The guest writes its mailbox and leaves, for the stop word is set already."""
    guest.stop()
    require_left(guest.vcpu.run_raw(), "After immediate runs, with the byte cleared")
    require_eintr(guest.run_immediate(), "With the guest's last exit to be completed")
