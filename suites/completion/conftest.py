# SPDX-License-Identifier: GPL-2.0-only
"""This chapter's guests: in each of them every part of the vCPU's state holds something.

A completion that clears what is zero already cannot be seen (`harness.require.require_completion`
compares all of it), and most of it is zero in a vCPU that was just made.
"""

from __future__ import annotations

import pytest

from harness.devices import Device
from harness.kvm.guest import Guest


@pytest.fixture
def device(device: Device) -> Device:
    """The device of the suites' fixture, and its vCPU filled."""
    fill(device.guest)
    return device


@pytest.fixture
def loaded(loaded: Guest) -> Guest:
    """The same of a program without a device."""
    fill(loaded)
    return loaded


def fill(guest: Guest) -> None:
    """For a vCPU at its program's entry, whose CPUID is set."""
    guest.architecture.fill(guest.vcpu, guest.vm)
