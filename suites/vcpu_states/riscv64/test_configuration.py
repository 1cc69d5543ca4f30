# SPDX-License-Identifier: GPL-2.0-only
"""Configuration that must come before the first run of a vCPU: an immediate run is one."""

from __future__ import annotations

import errno

import pytest

from harness.host.features import reason
from harness.kvm.abi import KvmError
from harness.kvm.arch.riscv64.numbers import CONFIG, extension, sbi_extension
from harness.kvm.guest import Guest
from harness.kvm.registers import get_register, set_register
from harness.require import require_immediate, require_runs_on, require_untouched
from suites.dimensions import every_guest_mode, only_on

pytestmark = [pytest.mark.usefixtures("capability"), only_on("riscv64")]

DOUBLES = extension(2)  # KVM_RISCV_ISA_EXT_D: an FPU, of which no program has a use
SUSPEND = sbi_extension(4)  # KVM_RISCV_SBI_EXT_SRST: a call that no program makes
VENDOR = CONFIG["mvendorid"]

settings = pytest.mark.parametrize(
    ("number", "other"),
    [(DOUBLES, 0), (SUSPEND, 0), (VENDOR, 0x489)],
    ids=["instructions", "firmware_calls", "vendor"],
)


def put(guest: Guest, number: int, value: int) -> int:
    """KVM_SET_ONE_REG: 0, or the errno."""
    try:
        set_register(guest.vcpu, number, value)
    except KvmError as error:
        return error.errno or errno.EIO
    return 0


@pytest.mark.claim("states.configuration")
@every_guest_mode
@settings
def test_frozen_by_an_immediate_run(loaded: Guest, number: int, other: int) -> None:
    """kvm_arch_vcpu_ioctl_run() sets ran_atleast_once first: what differs is then EBUSY.

    What is there already may be set again (api.rst 4.68 has no word about it; commit bea8d2372e02).
    """
    try:
        first = get_register(loaded.vcpu, number)
    except KvmError as error:
        if error.errno != errno.ENOENT:
            raise
        pytest.skip(reason("no_setting", "the extension of the ISA or the SBI"))
    for value in (other, first):
        found = put(loaded, number, value)
        assert found == 0, (
            f"Before the first run it must be free, but setting {number:#x} to {value:#x} gives "
            f"{errno.errorcode[found]}"
        )
    require_immediate(loaded, "On a fresh vCPU")
    found = put(loaded, number, other)
    assert found == errno.EBUSY, (
        f"After an immediate run it must be EBUSY to set {number:#x} to {other:#x}, but KVM gives "
        f"{errno.errorcode.get(found, 'success')}"
    )
    now = get_register(loaded.vcpu, number)
    assert now == first, f"A refused setting changed {number:#x} from {first:#x} to {now:#x}"
    require_untouched(loaded, "After a refused setting")
    require_runs_on(loaded, "After a refused setting")
