# SPDX-License-Identifier: GPL-2.0-only
"""How fast this host's counter of times goes, which QEMU's emulation shows as its processor's.

A kernel measures it where it boots. In a machine that hardly gets a turn it measures wrong: on a
busy host Linux took 2.6 GHz for 0.4 GHz once, and its clock went six times too fast from then on,
and with it all patience that a test has ("PIT calibration deviates from HPET",
arch/x86/kernel/tsc.c). So the kernel is told.
"""

from __future__ import annotations

import functools
import time
from typing import NamedTuple

from harness.native import lib

_APART_NS = 50_000_000
_TRIES = 50  # of which the one is taken that nothing came between


class _Reading(NamedTuple):
    """The counter, and between which two times it was read, ns."""

    ticks: int
    before: int
    after: int

    @property
    def within(self) -> int:
        """How close these are."""
        return self.after - self.before


@functools.cache
def khz() -> int:
    """Ticks a millisecond; 0 where nothing is known of such a counter."""
    first = _read()
    if not first.ticks:
        return 0
    while time.monotonic_ns() - first.after < _APART_NS:
        pass
    last = _read()
    return (last.ticks - first.ticks) * 1_000_000 // (last.before - first.before)


def _read() -> _Reading:
    return min((_once() for _ in range(_TRIES)), key=lambda reading: reading.within)


def _once() -> _Reading:
    before = time.monotonic_ns()
    ticks = int(lib.sw_ticks())
    return _Reading(ticks, before, time.monotonic_ns())
