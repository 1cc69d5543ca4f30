# SPDX-License-Identifier: GPL-2.0-only
"""Configuration that must come before the first run: an immediate run is one."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest

from harness.host.features import reason
from harness.kvm.abi import KvmError
from harness.kvm.arch.aarch64 import ioctls, names, state
from harness.kvm.guest import Guest
from harness.kvm.registers import get_register, set_register
from harness.require import require_ended, require_runs_on, require_untouched
from harness.ways import WayOut
from suites.dimensions import every_irqchip, every_way, only_on

pytestmark = [pytest.mark.usefixtures("capability"), only_on("aarch64")]

Change = Callable[[Guest], bool]


def calls_forwarded(guest: Guest) -> bool:
    """which calls leave to userspace (KVM_ARM_VM_SMCCC_FILTER, Linux 6.4)"""
    return ioctls.forward_calls(guest.vm, 0xC300_0200, 1)


def services_of_the_firmware(guest: Guest) -> bool:
    """which services the firmware has (KVM_REG_ARM_STD_HYP_BMAP, Linux 6.0)"""
    number = names.firmware_features(1)
    if number not in state.every_register(guest.vcpu):
        return False
    set_register(guest.vcpu, number, get_register(guest.vcpu, number) ^ 1)
    return True


changes = pytest.mark.parametrize(
    "change",
    [calls_forwarded, services_of_the_firmware],
    ids=lambda change: change.__name__,
)


@pytest.mark.claim("states.configuration")
@changes
@every_irqchip
@every_way
def test_frozen(loaded: Guest, change: Change, way: WayOut) -> None:
    """arch/arm64/kvm/arm.c, kvm_arch_vcpu_run_pid_change() marks the VM as one that has run
    (KVM_ARCH_FLAG_HAS_RAN_ONCE), and comes before the check of the byte."""
    what = f"a change of {change.__doc__}"
    try:
        if not change(loaded):
            pytest.skip(reason("no_setting", change.__name__))
    except KvmError as error:
        raise AssertionError(f"Before any run {what} must be taken, but {error}") from error
    require_ended(way.run(loaded), way, "On a fresh vCPU")
    with pytest.raises(KvmError) as refused:
        change(loaded)
    assert refused.value.errno == errno.EBUSY, (
        f"After a run{way.said} {what} must be refused with EBUSY, but {refused.value}"
    )
    require_untouched(loaded, "After a refused change")
    require_runs_on(loaded, "After a refused change")
