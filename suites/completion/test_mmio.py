# SPDX-License-Identifier: GPL-2.0-only
"""An access to memory that is not there, finished by a re-entry with the byte set."""

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
from suites.dimensions import every_guest_mode, every_irqchip, first_and_later_turn, pin_device

pytestmark = [pytest.mark.usefixtures("capability"), pin_device("mmio")]

MMIO = Accesses("load", "a load from MMIO", "store", "a store to MMIO")


@pytest.mark.claim("completion.mmio")
@every_guest_mode
@every_irqchip
@first_and_later_turn
def test_load(device: Device, turns: int) -> None:
    """api.rst, note under KVM_EXIT_MMIO: "the immediate_exit field set to complete pending
    operations without allowing any further instructions to be executed"."""
    require_read_completed(device, turns, MMIO)


@pytest.mark.claim("completion.mmio")
@every_guest_mode
@every_irqchip
@first_and_later_turn
def test_store(device: Device, turns: int) -> None:
    """The same for a store."""
    require_write_completed(device, turns, MMIO)


@pytest.mark.claim("completion.mmio")
@every_guest_mode
def test_load_then_saved(device: Device, kvm: System) -> None:
    """What the note is for: registers and memory taken now are the whole of it elsewhere."""
    require_read_saved(device, kvm, MMIO)


@pytest.mark.claim("completion.mmio")
@every_guest_mode
def test_store_then_saved(device: Device, kvm: System) -> None:
    """The same for a store: the other VM does not repeat it."""
    require_write_saved(device, kvm, MMIO)
