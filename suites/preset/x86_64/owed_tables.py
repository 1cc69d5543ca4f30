# SPDX-License-Identifier: GPL-2.0-only
"""The guest's own page tables."""

from __future__ import annotations

from harness.kvm.arch.x86_64 import state
from harness.kvm.guest import Guest
from suites.preset.owed import Owed, until
from suites.preset.owed_memory import HERE, OTHER_SLOT, SIZE, THERE, is_stored, storing

TABLES = 0x20000  # of a second address space, in RAM that no program uses


def with_second_tables(guest: Guest) -> None:
    """A second address space is there, in which HERE is THERE: each is a large page's begin."""
    storing(guest)
    guest.vm.add_memory(OTHER_SLOT, guest.address(THERE), SIZE)
    state.map_memory(guest.ram, TABLES, {HERE: THERE})


OWED = {
    "page_tables": Owed(
        "CR3 was set",
        lambda guest: state.set_page_tables(guest.vcpu, TABLES),
        until(is_stored(OTHER_SLOT), "the guest's store by its new page tables"),
        with_second_tables,
        "pages",
    ),
}
