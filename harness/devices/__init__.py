# SPDX-License-Identifier: GPL-2.0-only
"""The other end of the I/O programs of guest_blobs: a device that answers and takes note.

The programs mmio, mmio_cross and those of an architecture's CHANNELS are one dialogue: the guest
reads a value, stores it to data[0], counts in data[1], writes the value + 1, counts in data[2], and
begins again. The device gives value, value + 1, ... So a read or a write that is lost, repeated or
torn shows in the next exit or in the counters. (hypercall: a call is a read; nothing is written.)

A device loads its program itself. An exit other than the one that must come is an AssertionError
with a sentence for a bug report, as in `harness.require`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import guest_blobs
from harness.devices.crossing import CrossingWindow
from harness.devices.device import Device
from harness.devices.plain import HYPERCALL, Hypercalls, ParavirtualCalls, mmio_window
from harness.kvm.arch import Architecture, current
from harness.kvm.guest import Guest
from harness.kvm.speech import Channel
from harness.kvm.system import System

__all__ = ["CrossingWindow", "Device", "ParavirtualCalls", "channels", "lacking", "make"]

_KINDS: Mapping[str, type[Device]] = {"hypercall": Hypercalls, "mmio_cross": CrossingWindow}


def channels(architecture: Architecture) -> Mapping[str, Channel]:
    """Every channel by the name of its program: as the programs speak, by MMIO, and the others."""
    mmio = mmio_window(architecture.RAM_BASE)
    crossing = replace(mmio, program="mmio_cross", first=0x1122334455667711)
    every: dict[str, Channel] = {}
    for channel in (mmio, *architecture.CHANNELS, HYPERCALL, crossing):
        every.setdefault(channel.program, channel)  # an architecture's own call comes first
    first = (architecture.SPEECH.program, mmio.program)
    there = guest_blobs.programs(architecture.NAME)
    return {name: every[name] for name in (*first, *every) if name in there}


def _kind(name: str) -> type[Device]:
    return _KINDS.get(name, Device)


def lacking(system: System, name: str, mode: str) -> str:
    """The word (harness.host.features) for what this host lacks of a device; "" for nothing.

    Raises `KvmError`.
    """
    channel = channels(current()).get(name)
    if channel is None:
        return "other_architecture"
    return "" if _kind(name).possible(channel, system, mode) else channel.lacking


def make(guest: Guest, name: str, mode: str) -> Device:
    """The device, with its program loaded. Raises `KvmError`."""
    return _kind(name)(guest, mode, channels(guest.architecture)[name])
