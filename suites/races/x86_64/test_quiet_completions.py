# SPDX-License-Identifier: GPL-2.0-only
"""A run with the byte set that finishes an operation writes nothing else of the guest's memory."""

from __future__ import annotations

import pytest

from harness.devices import Device
from harness.host.features import reason
from harness.kvm.arch.x86_64 import paravirtual
from harness.kvm.guest import RAM_SLOT
from harness.require import require_completion
from suites.dimensions import every_device, only_on

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64")]

CLOCK, STOLEN_TIME = 0x70000, 0x71000  # pages of the guest's RAM that no program uses


@pytest.mark.claim("races.quiet")
@every_device
def test_completion_writes_no_shared_page(device: Device) -> None:
    """kvmclock and stolen time are written where the guest is entered (kvm_guest_time_update(),
    record_steal_time()), not where an operation ends; commit 118964562969 (6.11) mended a like
    write. With a signal pending KVM is on its way into the guest, and may write them."""
    guest = device.guest
    shown = [
        paravirtual.show_clock(guest.vcpu, guest.address(CLOCK)),
        paravirtual.show_stolen_time(guest.vcpu, guest.address(STOLEN_TIME)),
    ]
    if not any(shown):
        pytest.skip(reason("no_kvmclock"))
    guest.vm.start_dirty_log(RAM_SLOT)
    device.turns(1)
    value = device.answer(device.run_to_read("At a read"))
    require_quiet(device, "a read")
    device.run_past_read("In a normal run after a completed read")
    device.require_stored(value, "After a completed read and a normal run")
    if device.channel.writes:
        require_quiet(device, "a write")
        device.run_to_read("In a normal run after a completed write")


def require_quiet(device: Device, what: str) -> None:
    """The end of what is pending writes no memory, and none is in the dirty log."""
    device.guest.vm.dirty_pages(RAM_SLOT)
    said = f"After {what} of a guest that shares pages with KVM"
    require_completion(device.guest, said, device.destination)
    found = device.guest.vm.dirty_pages(RAM_SLOT)
    assert not found, (
        f"{said} and a re-entry with immediate_exit=1, no page must be dirty, but {min(found)} is"
    )
