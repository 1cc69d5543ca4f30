# SPDX-License-Identifier: GPL-2.0-only
"""System management interrupts of another guest, which its program knows nothing of."""

from __future__ import annotations

import contextlib

from harness.kvm.abi import KvmError
from harness.kvm.arch.x86_64 import ioctls, settings
from harness.kvm.guest import RAM_SLOT, Guest

#: The data word in which their handler, the program smi, counts.
COUNT = 8


def serve(guest: Guest) -> None:
    """Their handler lies where it must, in the address space of their mode as well."""
    with contextlib.suppress(KvmError):  # this KVM has no such mode
        settings.address_space(guest.vm, ioctls.SMM_ADDRESS_SPACE, RAM_SLOT)
    guest.place("smi", "real")


def send(guest: Guest) -> bool:
    """KVM_SMI; False where this KVM has none."""
    if not guest.vm.check_extension("KVM_CAP_X86_SMM"):
        return False
    ioctls.smi(guest.vcpu)
    return True
