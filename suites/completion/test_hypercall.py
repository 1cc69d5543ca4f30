# SPDX-License-Identifier: GPL-2.0-only
"""A hypercall that userspace serves, finished by a re-entry with the byte set."""

from __future__ import annotations

import pytest

from harness.devices import Device
from harness.kvm.guest import create
from harness.kvm.system import System
from harness.require import require_accumulator, require_completion
from suites.dimensions import every_guest_mode, every_irqchip, first_and_later_turn, pin_device

pytestmark = [pytest.mark.usefixtures("capability"), pin_device("hypercall")]


@pytest.mark.claim("completion.hypercall")
@every_guest_mode
@every_irqchip
@first_and_later_turn
def test_hypercall(device: Device, turns: int) -> None:
    """api.rst, note under KVM_EXIT_MMIO, and KVM_EXIT_HYPERCALL: "ret" is what the guest gets."""
    device.turns(turns)
    value = device.answer(device.run_to_read("At the hypercall"))
    require_completion(device.guest, "After a hypercall")
    require_accumulator(device.guest, value, "After a hypercall that was completed")
    device.run_to_read("In a normal run after a completed hypercall")
    device.require_stored(value, "After a completed hypercall and a normal run")
    device.require_in_step(turns + 1, 0, "After a completed hypercall and a normal run")


@pytest.mark.claim("completion.hypercall")
@every_guest_mode
def test_hypercall_then_saved(device: Device, kvm: System) -> None:
    """Registers and memory taken now are the whole of it elsewhere: the call is not made again."""
    value = device.answer(device.run_to_read("At the hypercall"))
    require_completion(device.guest, "After a hypercall")
    with create(kvm) as other:
        device.move_to(other)
        device.run_to_read("In another VM, after a completed hypercall")
        device.require_stored(value, "In another VM, after a completed hypercall")
        device.require_in_step(1, 0, "In another VM, after a completed hypercall")
