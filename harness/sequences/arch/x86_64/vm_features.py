# SPDX-License-Identifier: GPL-2.0-only
"""What a VM of a sequence may have besides, on x86-64: FEATURES, each with or without the others.

None changes what the guest's program does, but the first: an MSR of its own leaves to userspace.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress

from guest_blobs import memory_map as at
from harness.kvm import wires
from harness.kvm.abi import KvmError
from harness.kvm.arch.x86_64 import devices, ioctls, kept, patterns, settings
from harness.kvm.guest import RAM_SLOT, Guest
from harness.kvm.memory import PAGE_BYTES
from harness.kvm.vm import Vm
from harness.sequences.setting import DIRTY_RING

MSR_EXITS = "msr_exits"
#: The vCPU has the number 0, and was made when there was another one already.
MADE_LAST = "made_last"
RING_BYTES = 1 << 20  # the largest (KVM_DIRTY_RING_MAX_ENTRIES)
ANOTHER_NUMBER = 200  # which no processor has that is added
_FAR = 1 << 33  # beyond what 32 bits address
_UNUSED = at.EXTRA_RAM  # where the program never goes, as memory or as a device
_TSC_ADJUST = 0x3B
_BREAKPOINTS_ON = 0x4FF  # DR7: DR0 to DR3, where they are executed
_AVX = 7  # XCR0: x87, SSE and AVX


def _msr_exits(guest: Guest) -> None:
    devices.filter_msr(guest.vm)


def _far_memory(guest: Guest) -> None:
    guest.vm.add_memory(RAM_SLOT + 1, guest.address(_FAR), PAGE_BYTES)


def _read_only_memory(guest: Guest) -> None:
    guest.vm.add_memory(RAM_SLOT + 2, guest.address(_UNUSED), PAGE_BYTES, read_only=True)


def _writes_collected(guest: Guest) -> None:
    wires.collect_writes(guest.vm, guest.address(_UNUSED + PAGE_BYTES), PAGE_BYTES)


def _writes_signalled(guest: Guest) -> None:
    signalled = os.eventfd(0)
    try:
        wires.signal_writes(guest.vm, guest.address(_UNUSED + 2 * PAGE_BYTES), signalled)
    finally:
        os.close(signalled)  # KVM has it still


def _assigned_devices(guest: Guest) -> None:
    os.close(wires.assigned_devices(guest.vm))


def _halt_polling(guest: Guest) -> None:
    guest.vm.set_halt_poll(0)


def _second_vcpu(guest: Guest) -> None:
    guest.add_processor()


def _exception_payload(guest: Guest) -> None:
    ioctls.enable_exception_payload(guest.vm)


def _hyperv_guest(guest: Guest) -> None:
    ioctls.set_msr(guest.vcpu, settings.HYPERV_GUEST, settings.LINUX_ON_HYPERV)


def _tsc_adjusted(guest: Guest) -> None:
    ioctls.set_msr(guest.vcpu, _TSC_ADJUST, 1000)


def _breakpoints(guest: Guest) -> None:
    registers = kept.read(guest.vcpu, "debugregs")
    registers.dr7 = _BREAKPOINTS_ON
    kept.write(guest.vcpu, "debugregs", registers)


def _extended_state(guest: Guest) -> None:
    found = kept.read(guest.vcpu, "xcrs")
    found.xcrs[0].value = _AVX
    kept.write(guest.vcpu, "xcrs", found)


def _patterns(guest: Guest) -> None:
    patterns.fill_behind(guest.vcpu, guest.vm)


def _nonblocking(guest: Guest) -> None:
    os.set_blocking(guest.vcpu.fd, False)


_APPLY: Mapping[str, Callable[[Guest], None]] = {
    MSR_EXITS: _msr_exits,
    "far_memory": _far_memory,
    "read_only_memory": _read_only_memory,
    "writes_collected": _writes_collected,
    "writes_signalled": _writes_signalled,
    "assigned_devices": _assigned_devices,
    "halt_polling": _halt_polling,
    "second_vcpu": _second_vcpu,
    "exception_payload": _exception_payload,
    "hyperv_guest": _hyperv_guest,
    "tsc_adjusted": _tsc_adjusted,
    "breakpoints": _breakpoints,
    "extended_state": _extended_state,
    "nonblocking": _nonblocking,
    "patterns": _patterns,
}
FEATURES: tuple[str, ...] = (MADE_LAST, DIRTY_RING, *_APPLY)


def before_the_vcpu(vm: Vm, names: tuple[str, ...]) -> None:
    """What of these a VM must have before the vCPU at hand is made."""
    if DIRTY_RING in names and vm.offers_dirty_ring():
        vm.enable_dirty_ring_raw(RING_BYTES)
    if MADE_LAST in names:
        with suppress(KvmError):
            vm.create_vcpu(ANOTHER_NUMBER)


def apply(guest: Guest, names: tuple[str, ...]) -> None:
    """Gives them to a guest that never ran. What this KVM does not have is left out."""
    for name in (each for each in names if each in _APPLY):
        with suppress(KvmError):
            _APPLY[name](guest)
