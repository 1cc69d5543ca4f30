# SPDX-License-Identifier: GPL-2.0-only
"""Port input and output, finished by a re-entry with the byte set."""

from __future__ import annotations

import pytest

from harness.devices import Device
from harness.kvm.guest import create
from harness.kvm.system import System
from harness.require import require_accumulator, require_completion
from suites.dimensions import (
    every_guest_mode,
    every_irqchip,
    first_and_later_turn,
    only_on,
    pin_device,
)

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64"), pin_device("port_io")]


@pytest.mark.claim("completion.pio")
@every_guest_mode
@every_irqchip
@first_and_later_turn
def test_in(device: Device, turns: int) -> None:
    """api.rst, note under KVM_EXIT_MMIO: "the immediate_exit field set to complete pending
    operations without allowing any further instructions to be executed"."""
    device.turns(turns)
    value = device.answer(device.run_to_read("At the IN"))
    require_completion(device.guest, "After an IN")
    require_accumulator(device.guest, value, "After an IN that was completed")
    device.run_to_write("In a normal run after a completed IN")
    device.require_stored(value, "After a completed IN and a normal run")
    device.require_in_step(turns + 1, turns, "After a completed IN and a normal run")


@pytest.mark.claim("completion.pio")
@every_guest_mode
@every_irqchip
@first_and_later_turn
def test_out(device: Device, turns: int) -> None:
    """The same for an OUT."""
    device.turns(turns)
    device.answer(device.run_to_read("At the IN"))
    device.run_to_write("At the OUT")
    require_completion(device.guest, "After an OUT")
    device.run_to_read("In a normal run after a completed OUT")
    device.require_in_step(turns + 1, turns + 1, "After a completed OUT and a normal run")


@pytest.mark.claim("completion.pio")
@every_guest_mode
def test_in_then_saved(device: Device, kvm: System) -> None:
    """What the note is for: registers and memory taken now are the whole of it elsewhere."""
    value = device.answer(device.run_to_read("At the IN"))
    require_completion(device.guest, "After an IN")
    with create(kvm) as other:
        device.move_to(other)
        device.run_to_write("In another VM, after a completed IN")
        device.require_stored(value, "In another VM, after a completed IN")
        device.require_in_step(1, 0, "In another VM, after a completed IN")


@pytest.mark.claim("completion.pio")
@every_guest_mode
def test_out_then_saved(device: Device, kvm: System) -> None:
    """The same for an OUT: the other VM does not repeat it."""
    device.answer(device.run_to_read("At the IN"))
    device.run_to_write("At the OUT")
    require_completion(device.guest, "After an OUT")
    with create(kvm) as other:
        device.move_to(other)
        device.run_to_read("In another VM, after a completed OUT")
        device.require_in_step(1, 1, "In another VM, after a completed OUT")
