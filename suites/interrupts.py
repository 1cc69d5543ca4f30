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


def skip_if_repeated(guest: Guest, wanted: int, taken: int | None = None) -> None:
    """Skips where an emulated processor may have taken an interrupt (guest.ticks) twice.

    QEMU's software emulation now and then delivers once more what KVM injected once
    (docs/emulated-hosts.md). KVM's statistic of them cannot tell that from a KVM that
    injects twice: it counts an injection that the last check before the entry took back as well,
    so a sound KVM has two for one interrupt now and then.
    """
    __tracebackhide__ = True
    taken = guest.ticks if taken is None else taken
    if taken > wanted and describe().tier.startswith("emulated"):
        injected = guest.statistic("interrupts")
        counted = "" if injected is None else f"; KVM counts {injected} injections"
        pytest.skip(reason("repeated_interrupt", f"{wanted} sent, {taken} taken{counted}"))
