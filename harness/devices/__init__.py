# SPDX-License-Identifier: GPL-2.0-only
"""The other end of the I/O programs of guest_blobs: a device that answers and takes note.

The programs port_io, mmio, mmio_cross and msr are one dialogue: the guest reads a value, stores it
to data[0], counts in data[1], writes the value + 1, counts in data[2], and begins again. The device
gives value, value + 1, ... So a read or a write that is lost, repeated or torn shows in the next
exit or in the counters. (hypercall: a call is a read; nothing is written.)

A device loads its program itself. An exit other than the one that must come is an AssertionError
with a sentence for a bug report, as in `harness.verdicts`.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.devices.crossing import CrossingWindow
from harness.devices.device import Device
from harness.devices.plain import Hypercalls, MmioWindow, Msr, Ports

__all__ = ["DEVICES", "CrossingWindow", "Device", "Hypercalls", "MmioWindow", "Msr", "Ports"]

DEVICES: Mapping[str, type[Device]] = {
    device.PROGRAM: device for device in (Ports, MmioWindow, Msr, Hypercalls, CrossingWindow)
}
