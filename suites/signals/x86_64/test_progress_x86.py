# SPDX-License-Identifier: GPL-2.0-only
"""A vCPU that is kicked all the time, of a guest that leaves guest mode by itself as often."""

from __future__ import annotations

import os

import pytest

from guest_blobs import memory_map as at
from harness.host.features import reason
from harness.kvm import wires
from harness.kvm.guest import Guest
from suites.dimensions import only_on, pin_guest_program, pin_irqchip
from suites.signals.getting_on import require_gets_on

pytestmark = only_on("x86_64")

FIRST_PAGE, PAGES = 0, 1  # data words of the program pages
WORD = 8  # bytes of its stores in long mode
NO_PROCESSOR = 0, 1000  # the data word of the program icr_writer: no APIC has this id


@pytest.mark.claim("signals.progress")
@pin_guest_program("icr_writer")
@pin_irqchip("split")
def test_progress_between_exits(loaded: Guest) -> None:
    """KVM enters such a guest again after each exit, which is a way of its own."""
    loaded.set_data(*NO_PROCESSOR)
    require_gets_on(loaded, "a guest that exits again and again")


@pytest.mark.claim("signals.progress")
@pin_guest_program("pages")
def test_progress_of_stores_to_a_device(loaded: Guest) -> None:
    """KVM interprets each, and serves it by itself: the device is an eventfd."""
    if not loaded.vm.check_extension("KVM_CAP_IOEVENTFD"):
        pytest.skip(reason("no_setting", "KVM_CAP_IOEVENTFD"))
    device = os.eventfd(0)
    try:
        wires.signal_writes(loaded.vm, loaded.address(at.MMIO_BASE), device, WORD)
        loaded.set_data(FIRST_PAGE, loaded.address(at.MMIO_BASE))
        loaded.set_data(PAGES, 1)
        require_gets_on(loaded, "a guest that stores to a device")
        stores = os.eventfd_read(device)
    finally:
        os.close(device)
    assert stores, "The guest's stores must signal their eventfd"
