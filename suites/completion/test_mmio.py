# SPDX-License-Identifier: GPL-2.0-only
"""An access to memory that is not there, finished by a re-entry with the byte set."""

from __future__ import annotations

import pytest

from harness.devices import Device
from harness.kvm.guest import create
from harness.kvm.system import System
from harness.require import require_accumulator, require_completion
from suites.dimensions import every_guest_mode, every_irqchip, first_and_later_turn, pin_device

pytestmark = [pytest.mark.usefixtures("capability"), pin_device("mmio")]


@pytest.mark.claim("completion.mmio")
@every_guest_mode
@every_irqchip
@first_and_later_turn
def test_load(device: Device, turns: int) -> None:
    """api.rst, note under KVM_EXIT_MMIO: "the immediate_exit field set to complete pending
    operations without allowing any further instructions to be executed"."""
    device.turns(turns)
    value = device.answer(device.run_to_read("At the load"))
    require_completion(device.guest, "After a load from MMIO")
    require_accumulator(device.guest, value, "After a load from MMIO that was completed")
    device.run_to_write("In a normal run after a completed load")
    device.require_stored(value, "After a completed load and a normal run")
    device.require_in_step(turns + 1, turns, "After a completed load and a normal run")


@pytest.mark.claim("completion.mmio")
@every_guest_mode
@every_irqchip
@first_and_later_turn
def test_store(device: Device, turns: int) -> None:
    """The same for a store."""
    device.turns(turns)
    device.answer(device.run_to_read("At the load"))
    device.run_to_write("At the store")
    require_completion(device.guest, "After a store to MMIO")
    device.run_to_read("In a normal run after a completed store")
    device.require_in_step(turns + 1, turns + 1, "After a completed store and a normal run")


@pytest.mark.claim("completion.mmio")
@every_guest_mode
def test_load_then_saved(device: Device, kvm: System) -> None:
    """What the note is for: registers and memory taken now are the whole of it elsewhere."""
    value = device.answer(device.run_to_read("At the load"))
    require_completion(device.guest, "After a load from MMIO")
    with create(kvm) as other:
        device.move_to(other)
        device.run_to_write("In another VM, after a completed load")
        device.require_stored(value, "In another VM, after a completed load")
        device.require_in_step(1, 0, "In another VM, after a completed load")


@pytest.mark.claim("completion.mmio")
@every_guest_mode
def test_store_then_saved(device: Device, kvm: System) -> None:
    """The same for a store: the other VM does not repeat it."""
    device.answer(device.run_to_read("At the load"))
    device.run_to_write("At the store")
    require_completion(device.guest, "After a store to MMIO")
    with create(kvm) as other:
        device.move_to(other)
        device.run_to_read("In another VM, after a completed store")
        device.require_in_step(1, 1, "In another VM, after a completed store")
