# SPDX-License-Identifier: GPL-2.0-only
"""How often a guest took its interrupt, on real processors and on emulated ones."""

from __future__ import annotations

import pytest

from harness.host.description import describe
from harness.host.features import reason
from harness.kvm.guest import Guest


def require_ticks(guest: Guest, wanted: int, circumstance: str) -> None:
    """The guest took so many interrupts in its life."""
    __tracebackhide__ = True
    skip_if_repeated(guest, wanted)
    assert guest.ticks == wanted, (
        f"{circumstance}, the guest must have taken {wanted} interrupt{'s' * (wanted != 1)}, "
        f"but it took {guest.ticks}"
    )


def skip_if_repeated(guest: Guest, wanted: int) -> None:
    """Skips where an emulated processor delivered interrupts that KVM did not inject.

    QEMU's software emulation now and then takes an injected interrupt twice
    (docs/emulated-hosts.md), and a guest that took too many shows nothing then. KVM counts what it
    injects: a KVM that injects one twice is not excused. Kernels before 5.14 do not show the count.
    """
    __tracebackhide__ = True
    taken, injected = guest.ticks, guest.statistic("irq_injections")
    repeated = injected is None or taken > injected
    if taken > wanted and repeated and describe().tier.startswith("emulated"):
        pytest.skip(reason("repeated_interrupt", f"KVM injected {injected}, {taken} were taken"))
