# SPDX-License-Identifier: GPL-2.0-only
"""An immediate run leaves the guest what it finds in its own processor."""

from __future__ import annotations

import pytest

from harness.kvm.arch.x86_64 import self_look
from harness.kvm.guest import Guest
from harness.kvm.running import Running
from harness.kvm.signals import CountingHandler
from harness.require import require_eintr, require_signal_exit
from harness.ways import BYTE
from suites.dimensions import KICK, every_irqchip, only_on, pin_guest_mode, pin_guest_program

pytestmark = [
    pytest.mark.usefixtures("capability"),
    only_on("x86_64"),
    pin_guest_program("registers"),
]

# One, for a defect that toggles cancels out over an even number; and as many as show a slow one.
TIMES = (1, 20)


def runs_until_kicked(guest: Guest) -> None:
    """The guest looks at itself some times."""
    with CountingHandler(KICK), Running(guest) as running:
        running.wait_for_progress()
        running.kick(KICK)
    require_signal_exit(running.outcome(), "On a kick of a guest that looks at itself")


def require_unchanged(loaded: Guest) -> None:
    """After immediate runs the guest finds itself as before."""
    __tracebackhide__ = True
    msrs = self_look.prepare(loaded)
    runs_until_kicked(loaded)
    assert self_look.sees_patterns(loaded), "The guest must find what was put into its registers"
    for times in TIMES:
        result = BYTE.run_many(loaded.vcpu, times)
        circumstance = f"After kicks and {times} immediate runs"
        require_eintr(result, circumstance)
        runs_until_kicked(loaded)
        found = self_look.difference(loaded, msrs)
        assert not found, f"{circumstance}, the guest must find itself unchanged, but {found}"


@pytest.mark.claim("preset.state_untouched")
@every_irqchip
@pytest.mark.keeps("irqchip")
def test_guest_finds_itself_unchanged(loaded: Guest) -> None:
    """Vector, x87, debug and control registers, segments and MSRs, as the guest reads them."""
    require_unchanged(loaded)


@pytest.mark.claim("preset.state_untouched")
@pin_guest_mode("real")
def test_guest_in_real_mode_finds_itself_unchanged(loaded: Guest) -> None:
    """The same, where KVM keeps segments otherwise, or plays the mode by another one."""
    require_unchanged(loaded)


@pytest.mark.claim("preset.state_untouched")
@pin_guest_mode("protected")
def test_guest_in_protected_mode_finds_itself_unchanged(loaded: Guest) -> None:
    """The same, of 32 bits and without paging."""
    require_unchanged(loaded)
