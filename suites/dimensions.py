# SPDX-License-Identifier: GPL-2.0-only
"""Helpers that pin a dimension of the fixtures (see conftest.py) to some of its values.

The ids of the parameters are the values themselves: words.
"""

from __future__ import annotations

import platform

import pytest

import guest_blobs
from harness import devices, ways
from harness.host.features import reason
from harness.kvm import arch, signals

try:
    _HERE = arch.current()
    MODES, IRQCHIPS, _HALTING = _HERE.MODES, _HERE.IRQCHIPS, _HERE.HALTS_IN_KERNEL
    _PAGES = "pages" in guest_blobs.programs(_HERE.NAME)
    _PAGED = guest_blobs.modes(_HERE.NAME, "pages") if _PAGES else MODES
    # Whether its program writes; the one whose accesses take several exits is tested by itself.
    _DEVICES = {name: each.writes for name, each in devices.channels(_HERE).items()}
    _DEVICES.pop("mmio_cross", None)
except arch.UnsupportedArchitectureError:
    # Collection must work everywhere: the fixture `kvm` then skips with the reason.
    MODES, IRQCHIPS, _HALTING = ("native",), ("none", "native"), ("native",)
    _PAGED, _DEVICES = MODES, {"mmio": True, "hypercall": False}

KICK = signals.KICK


def pin_guest_mode(*modes: str) -> pytest.MarkDecorator:
    """The test runs once in each of these modes."""
    return pytest.mark.parametrize("guest_mode", modes, indirect=True)


def pin_irqchip(*kinds: str) -> pytest.MarkDecorator:
    """The test runs once with each of these interrupt controllers."""
    return pytest.mark.parametrize("irqchip", kinds, indirect=True)


def pin_other_vcpus(number: int) -> pytest.MarkDecorator:
    """The test's VM has so many vCPUs besides its first; `Guest.others`."""
    return pytest.mark.other_vcpus(number)


def pin_guest_program(*programs: str) -> pytest.MarkDecorator:
    """The test runs once with each of these programs."""
    return pytest.mark.parametrize("guest_program", programs, indirect=True)


def pin_device(*devices: str) -> pytest.MarkDecorator:
    """The test runs once with each of these devices (harness.devices)."""
    return pytest.mark.parametrize("device_name", devices, indirect=True)


# For the fixture `device`: an operation of the vCPU's first KVM_RUN ever, and one of a later run.
first_and_later_turn = pytest.mark.parametrize("turns", [0, 3], ids=["first_run", "later_run"])

# What ends the test's runs before the guest executes anything (harness.ways).
every_way = pytest.mark.parametrize("way", ways.WAYS, ids=[way.name for way in ways.WAYS])

every_guest_mode = pin_guest_mode(*MODES)
# In which a guest reaches as many pages as the program `pages` writes.
guest_modes_with_pages = pin_guest_mode(*_PAGED)
# The program that reads and writes by turns as the architecture's programs speak, and by MMIO.
pin_dialogue = pin_guest_program(arch.dialogue())
every_dialogue = pin_guest_program(*dict.fromkeys((arch.dialogue(), "mmio")))
every_device = pin_device(*_DEVICES)
every_device_that_is_written = pin_device(*(name for name, writes in _DEVICES.items() if writes))
every_irqchip = pin_irqchip(*IRQCHIPS)


def _pin_some_irqchip(*kinds: str) -> pytest.MarkDecorator:
    """Without a value pytest would skip the test for a reason of its own, which is no verdict."""
    if kinds:
        return pin_irqchip(*kinds)
    return pytest.mark.skip(reason=reason("no_irqchip", "none on this architecture"))


irqchip_in_kernel = _pin_some_irqchip(*(kind for kind in IRQCHIPS if kind != "none"))
# With which a halted vCPU waits in KVM_RUN; and one that stands for all: the last.
every_irqchip_that_halts = _pin_some_irqchip(*_HALTING)
an_irqchip_that_halts = _pin_some_irqchip(*_HALTING[-1:])


def only_on(machine: str) -> pytest.MarkDecorator:
    """For the folder of an architecture (`uname -m`): collected everywhere, skipped elsewhere."""
    return pytest.mark.skipif(
        platform.machine() != machine, reason=reason("other_architecture", f"{machine} only")
    )
