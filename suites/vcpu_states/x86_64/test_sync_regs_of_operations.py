# SPDX-License-Identifier: GPL-2.0-only
"""Registers that an exit stored in kvm_run, handed back to the run that completes its operation."""

from __future__ import annotations

import pytest

from harness.devices import Device
from harness.host.features import reason
from harness.kvm.arch.x86_64 import ioctls, state
from harness.kvm.guest import Guest
from harness.require import require_ended
from harness.ways import BYTE, SIGNAL, WayOut
from suites.dimensions import every_device, every_guest_mode, only_on

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64"), every_guest_mode]

REGS = ioctls.sync_bit("regs")
# Those whose end writes its registers itself. The emulator, which may end the others, loses what it
# has read where registers were set meanwhile: emulator_invalidate_register_cache() forgets what is
# yet to be written.
READS = ("msr", "hypercall")


@pytest.mark.claim("states.sync_regs")
@every_device
def test_taken_before_the_completion(device: Device) -> None:
    """arch/x86/kvm/x86.c, kvm_arch_vcpu_ioctl_run(): sync_regs() comes before
    complete_userspace_io, so what is handed back does not undo the end of the operation,
    whichever run that is."""
    guest, channel = device.guest, device.channel
    if not guest.vm.check_extension("KVM_CAP_SYNC_REGS") & REGS:
        pytest.skip(reason("no_sync_regs"))
    guest.vcpu.run_page.kvm_valid_regs = REGS
    ways: tuple[WayOut | None, ...] = (BYTE, SIGNAL, None)
    for turn, way in enumerate(ways, 1):
        said = f"With kvm_dirty_regs in a run{way.said if way else ''} after a"
        value = device.answer(device.run_to_read("With kvm_valid_regs, at a read"))
        if channel.program in READS:
            hand_back(guest, way, f"{said} read,")
        device.run_past_read(f"{said} read, in the normal run")
        device.require_stored(value, f"{said} read and a normal run")
        device.require_in_step(turn, turn - 1, f"{said} read and a normal run")
        if channel.writes:
            hand_back(guest, way, f"{said} write,")
    device.run_to_read(f"{said} write, in the normal run")
    device.require_in_step(
        len(ways), len(ways), "After registers were handed back to each run that completes"
    )


def hand_back(guest: Guest, way: WayOut | None, circumstance: str) -> None:
    """What the exit stored is named in kvm_dirty_regs for the run that completes: one of this way,
    which stores what it made of it; or the next normal one, which the caller makes."""
    guest.vcpu.run_page.kvm_dirty_regs = REGS
    if way is None:
        return
    require_ended(way.run(guest), way, circumstance)
    stored = state.fields(ioctls.sync_regs(guest.vcpu).regs)
    for name, value in state.fields(ioctls.get_regs(guest.vcpu)).items():
        assert stored[name] == value, (
            f"{circumstance} KVM_RUN must store what KVM_GET_REGS gives, but {name} is "
            f"{stored[name]:#x} in kvm_run, and {value:#x} by the ioctl"
        )
