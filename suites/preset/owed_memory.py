# SPDX-License-Identifier: GPL-2.0-only
"""A changed memory map, and its dirty log."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from guest_blobs import memory_map as at
from harness.host.features import reason
from harness.kvm import exits
from harness.kvm.guest import RAM_SLOT, Guest
from harness.kvm.memory import PAGE_BYTES
from harness.kvm.running import warm_up
from harness.require import require_exit
from suites.preset.owed import Owed, until

SLOT, OTHER_SLOT = RAM_SLOT + 1, RAM_SLOT + 2
HERE, THERE = at.EXTRA_RAM, at.EXTRA_RAM + 0x200000
SIZE = 16 * PAGE_BYTES
FIRST_PAGE, PAGES, LOADS, LOADED = 0, 1, 2, 3  # data words of the program pages
MARK = 0x600D_DA7A


def storing(guest: Guest) -> None:
    """The guest stores its counter to the slot's first page, and has done so."""
    guest.vm.add_memory(SLOT, guest.address(HERE), SIZE)
    store_to(guest, HERE)
    warm_up(guest)


def store_to(guest: Guest, place: int) -> None:
    """From its next pass on, the guest stores there."""
    guest.set_data(FIRST_PAGE, guest.address(place))
    guest.set_data(PAGES, 1)


def is_stored(slot: int) -> Callable[[Guest], bool]:
    """The guest's counter, which is not 0 any more, stands in the slot's first page."""
    return lambda guest: guest.vm.memory(slot).read32(0) != 0


def require_store_leaves(guest: Guest, circumstance: str) -> None:
    """The guest's next store finds no memory that it may write: KVM_EXIT_MMIO."""
    __tracebackhide__ = True
    said = f"{circumstance.capitalize()}, at the guest's store"
    found = require_exit(guest.vcpu.run_raw(), exits.Mmio, said)
    assert (found.is_write, found.address) == (True, guest.address(HERE)), (
        f"{said} to {HERE:#x}, KVM_RUN must leave with that store, but it left with {found}"
    )


def move(guest: Guest) -> None:
    """The slot goes elsewhere; the guest still stores to where it was."""
    guest.vm.memory(SLOT).write32(0, 0)
    guest.vm.move_memory(SLOT, guest.address(THERE))


def moved(guest: Guest, circumstance: str) -> None:
    """The old place is empty, and the new one is not."""
    __tracebackhide__ = True
    require_store_leaves(guest, circumstance)
    store_to(guest, THERE)
    until(is_stored(SLOT), "the guest's store to the moved memory")(guest, circumstance)


def without_memory(guest: Guest) -> None:
    """The guest's store has left, for there is no memory yet."""
    store_to(guest, HERE)
    require_store_leaves(guest, "before there was memory")


def replace(guest: Guest) -> None:
    """Other memory at the same address."""
    guest.vm.delete_memory(SLOT)
    guest.vm.memory(SLOT).write32(0, 0)
    guest.vm.add_memory(OTHER_SLOT, guest.address(HERE), SIZE)


def replaced(guest: Guest, circumstance: str) -> None:
    """The guest stores to the new memory, and no more to the old."""
    __tracebackhide__ = True
    until(is_stored(OTHER_SLOT), "the guest's store to the new memory")(guest, circumstance)
    assert not is_stored(SLOT)(guest), f"{circumstance.capitalize()}, the guest wrote the old one"


def make_read_only(guest: Guest) -> None:
    """KVM_MEM_READONLY takes a new slot: the flag of one that is there cannot change."""
    if not guest.vm.check_extension("KVM_CAP_READONLY_MEM"):
        pytest.skip(reason("no_readonly_memory"))
    guest.vm.delete_memory(SLOT)
    guest.vm.memory(SLOT).write32(0, MARK)
    guest.vm.restore_memory(SLOT, read_only=True)


def read_only(guest: Guest, circumstance: str) -> None:
    """A store leaves, a load does not."""
    __tracebackhide__ = True
    require_store_leaves(guest, circumstance)
    guest.set_data(LOADS, 1)
    until(lambda now: now.data(LOADED) == MARK, "the guest's load")(guest, circumstance)


def logged(guest: Guest, circumstance: str) -> None:
    """What the guest stores next is in the dirty log."""
    __tracebackhide__ = True
    turns = guest.heartbeat
    until(lambda now: now.heartbeat > turns + 2, "the guest's stores")(guest, circumstance)
    found = guest.vm.dirty_pages(SLOT)
    assert 0 in found, (
        f"{circumstance.capitalize()}, the page that the guest stored to must be in the dirty log, "
        f"but these are: {sorted(found)}"
    )


def logging(guest: Guest) -> None:
    """The log is on, and has the guest's page."""
    storing(guest)
    guest.vm.start_dirty_log(SLOT)
    turns = guest.heartbeat
    warm_up(guest)
    assert guest.heartbeat > turns


OWED = {
    "region_moved": Owed("a memory region was moved", move, moved, storing, "pages"),
    "region_deleted": Owed(
        "a memory region was deleted",
        lambda guest: guest.vm.delete_memory(SLOT),
        require_store_leaves,
        storing,
        "pages",
    ),
    "region_added": Owed(
        "a memory region was added",
        lambda guest: guest.vm.add_memory(SLOT, guest.address(HERE), SIZE) and None,
        until(is_stored(SLOT), "the guest's store to the new memory"),
        without_memory,
        "pages",
    ),
    "region_replaced": Owed("a memory region was replaced", replace, replaced, storing, "pages"),
    "region_read_only": Owed(
        "a memory region was made read-only", make_read_only, read_only, storing, "pages"
    ),
    "dirty_log_on": Owed(
        "the dirty log was switched on",
        lambda guest: guest.vm.start_dirty_log(SLOT),
        logged,
        storing,
        "pages",
    ),
    "dirty_log_taken": Owed(
        "the dirty log was taken",
        lambda guest: guest.vm.dirty_pages(SLOT) and None,
        logged,
        logging,
        "pages",
    ),
}
