# SPDX-License-Identifier: GPL-2.0-only
"""This chapter's guests: in each of them every part of the vCPU's state holds something.

A completion that clears what is zero already cannot be seen (`harness.require.require_completion`
compares all of it), and most of it is zero in a vCPU that was just made.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.devices import Device
from harness.host.features import reason
from harness.kvm.guest import RAM_SLOT, Guest
from harness.kvm.vm import Vm


# Before 9.0 pytest reads the arguments of a fixture that overrides another, and not the other's:
# the dimensions that a test pins stand here once more.
@pytest.fixture
def device(device: Device, guest: Guest, device_name: str, guest_mode: str) -> Device:
    """The device of the suites' fixture, and its vCPU filled."""
    device.guest.fill()
    return device


@pytest.fixture
def loaded(loaded: Guest, guest: Guest, guest_program: str, guest_mode: str) -> Guest:
    """The same of a program without a device."""
    loaded.fill()
    return loaded


@pytest.fixture
def dirty_pages(request: pytest.FixtureRequest, vm: Vm) -> Callable[[Guest], set[int]]:
    """What names the pages of RAM that were dirtied since the last call: a bitmap, or a ring.

    It comes before the fixture of the guest: a vCPU has its ring from its begin.
    """
    if request.param == "bitmap":
        return lambda guest: guest.vm.dirty_pages(RAM_SLOT)
    if not vm.offers_dirty_ring():
        pytest.skip(reason("no_dirty_ring"))
    vm.enable_smallest_dirty_ring()

    def collect(guest: Guest) -> set[int]:
        entries = guest.vcpu.collect_dirty_ring()
        guest.vm.reset_dirty_rings()
        return {page for slot, page in entries if slot == RAM_SLOT}

    return collect
