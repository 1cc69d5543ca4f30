# SPDX-License-Identifier: GPL-2.0-only
"""Configuration that must come before the first run of a vCPU."""

from __future__ import annotations

import pytest

from harness.kvm.abi import KvmError
from harness.kvm.arch.x86_64 import ioctls
from harness.kvm.guest import Guest
from harness.require import require_immediate, require_runs_on, require_untouched
from suites.dimensions import every_guest_mode, every_irqchip, only_on

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64")]

BRAND = 0x80000002  # the first leaf of the brand string, which nothing depends on
NAME = int.from_bytes(b"conf", "little")
REPEATS = 10


@pytest.mark.claim("states.configuration")
@every_guest_mode
@every_irqchip
def test_cpuid(loaded: Guest) -> None:
    """kvm_vcpu_has_run() asks for a real entry, so CPUID may be set after immediate runs."""
    for _ in range(REPEATS):
        require_immediate(loaded, "On a fresh vCPU")
    cpuid = ioctls.get_cpuid(loaded.vcpu)
    leaf = next(entry for entry in cpuid.entries[0 : cpuid.nent] if entry.function == BRAND)
    leaf.eax = NAME
    try:
        ioctls.set_cpuid(loaded.vcpu, cpuid)
    except KvmError as error:
        raise AssertionError(
            f"After {REPEATS} immediate runs of a fresh vCPU CPUID must still be free: {error}"
        ) from error
    cpuid = ioctls.get_cpuid(loaded.vcpu)
    leaf = next(entry for entry in cpuid.entries[0 : cpuid.nent] if entry.function == BRAND)
    assert leaf.eax == NAME, "KVM_SET_CPUID2 succeeded after immediate runs but changed nothing"
    require_untouched(loaded, "After CPUID was set again")
    require_runs_on(loaded, "After CPUID was set again")
