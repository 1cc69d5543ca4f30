# SPDX-License-Identifier: GPL-2.0-only
"""Port input and output, finished by a re-entry with the byte set."""

from __future__ import annotations

import pytest

from harness.devices import Device
from harness.kvm.system import System
from suites.completion.completed import (
    Accesses,
    require_read_completed,
    require_read_saved,
    require_write_completed,
    require_write_saved,
)
from suites.dimensions import (
    every_guest_mode,
    every_irqchip,
    first_and_later_turn,
    only_on,
    pin_device,
)

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64"), pin_device("port_io")]

PORT = Accesses("IN", "an IN", "OUT", "an OUT")


@pytest.mark.claim("completion.pio")
@every_guest_mode
@every_irqchip
@first_and_later_turn
def test_in(device: Device, turns: int) -> None:
    """api.rst, note under KVM_EXIT_MMIO: "the immediate_exit field set to complete pending
    operations without allowing any further instructions to be executed"."""
    require_read_completed(device, turns, PORT)


@pytest.mark.claim("completion.pio")
@every_guest_mode
@every_irqchip
@first_and_later_turn
def test_out(device: Device, turns: int) -> None:
    """The same for an OUT."""
    require_write_completed(device, turns, PORT)


@pytest.mark.claim("completion.pio")
@every_guest_mode
def test_in_then_saved(device: Device, kvm: System) -> None:
    """What the note is for: registers and memory taken now are the whole of it elsewhere."""
    require_read_saved(device, kvm, PORT)


@pytest.mark.claim("completion.pio")
@every_guest_mode
def test_out_then_saved(device: Device, kvm: System) -> None:
    """The same for an OUT: the other VM does not repeat it."""
    require_write_saved(device, kvm, PORT)
