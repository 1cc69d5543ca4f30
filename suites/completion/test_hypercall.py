# SPDX-License-Identifier: GPL-2.0-only
"""A hypercall that userspace serves, finished by a re-entry with the byte set."""

from __future__ import annotations

import pytest

from harness.devices import Device
from harness.kvm.system import System
from suites.completion.completed import Accesses, require_read_completed, require_read_saved
from suites.dimensions import every_guest_mode, every_irqchip, first_and_later_turn, pin_device

pytestmark = [pytest.mark.usefixtures("capability"), pin_device("hypercall")]

CALL = Accesses("hypercall", "a hypercall")


@pytest.mark.claim("completion.hypercall")
@every_guest_mode
@every_irqchip
@first_and_later_turn
def test_hypercall(device: Device, turns: int) -> None:
    """api.rst, note under KVM_EXIT_MMIO, and KVM_EXIT_HYPERCALL: "ret" is what the guest gets."""
    require_read_completed(device, turns, CALL)


@pytest.mark.claim("completion.hypercall")
@every_guest_mode
def test_hypercall_then_saved(device: Device, kvm: System) -> None:
    """Registers and memory taken now are the whole of it elsewhere: the call is not made again."""
    require_read_saved(device, kvm, CALL)
