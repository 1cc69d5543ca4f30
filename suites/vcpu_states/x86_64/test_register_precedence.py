# SPDX-License-Identifier: GPL-2.0-only
"""Bad registers in kvm_run and the byte: x86 looks at the registers first."""

from __future__ import annotations

import errno

import pytest

from harness.host.features import reason
from harness.kvm.guest import Guest
from harness.require import require_errno, require_no_progress, require_runs_on, require_untouched
from suites.dimensions import every_guest_mode, irqchip_in_kernel, only_on

pytestmark = [pytest.mark.usefixtures("capability"), only_on("x86_64")]

ILLEGAL_CR8 = 16  # CR8 has four bits

field = pytest.mark.parametrize("field", ["kvm_valid_regs", "kvm_dirty_regs"])
lowest_or_highest = pytest.mark.parametrize("bit", ["lowest_unknown", "highest"])


def bad_bit(guest: Guest, bit: str) -> int:
    """A bit that names no set of registers. Skips where none does."""
    known = guest.vm.check_extension("KVM_CAP_SYNC_REGS")
    if not known:
        pytest.skip(reason("no_sync_regs"))
    return (known + 1) & ~known if bit == "lowest_unknown" else 1 << 63


@pytest.mark.claim("states.precedence")
@field
@lowest_or_highest
def test_bad_register_bits(ready: Guest, field: str, bit: str) -> None:
    """kvm_arch_vcpu_ioctl_run(): an unknown bit is EINVAL, before the byte is looked at.

    74c1807f6c4f compared with 32 bits only, and so lets the highest ones pass: also in 6.12.117.
    """
    wrong = bad_bit(ready, bit)
    before = ready.witness()
    setattr(ready.vcpu.run_page, field, wrong)
    circumstance = f"With immediate_exit=1 and {field}={wrong:#x}"
    require_errno(ready.run_immediate(), errno.EINVAL, circumstance)
    setattr(ready.vcpu.run_page, field, 0)
    require_no_progress(before, ready.witness(), circumstance)
    require_untouched(ready, "After refused register bits")
    require_runs_on(ready, "After refused register bits")


@pytest.mark.claim("states.precedence")
@every_guest_mode
def test_illegal_cr8(ready: Guest) -> None:
    """Without a local APIC KVM_RUN takes CR8 from kvm_run: an illegal one is EINVAL first."""
    before = ready.witness()
    legal = ready.vcpu.run_page.cr8
    ready.vcpu.run_page.cr8 = ILLEGAL_CR8
    circumstance = f"With immediate_exit=1 and cr8={ILLEGAL_CR8}"
    require_errno(ready.run_immediate(), errno.EINVAL, circumstance)
    ready.vcpu.run_page.cr8 = legal
    require_no_progress(before, ready.witness(), circumstance)
    require_untouched(ready, "After an illegal CR8")
    require_runs_on(ready, "After an illegal CR8")


@pytest.mark.claim("states.precedence")
@irqchip_in_kernel
def test_cr8_is_ignored_with_local_apic(ready: Guest) -> None:
    """With a local APIC in the kernel kvm_run's CR8 is no input: EINTR."""
    ready.vcpu.run_page.cr8 = ILLEGAL_CR8
    require_untouched(ready, f"With a local APIC in the kernel and cr8={ILLEGAL_CR8},")
    require_runs_on(ready, "After an illegal CR8 that nobody reads")


@pytest.mark.claim("states.precedence")
@irqchip_in_kernel
@field
def test_uninitialized_processor(guest: Guest, field: str) -> None:
    """A processor that waits for INIT: the byte is looked at first, the registers never."""
    wrong = bad_bit(guest, "lowest_unknown")
    waiting = guest.add_processor()
    setattr(waiting.vcpu.run_page, field, wrong)
    waiting.vcpu.immediate_exit = 1
    circumstance = f"On an uninitialized processor with immediate_exit=1 and {field}={wrong:#x}"
    require_errno(waiting.vcpu.run_raw(), errno.EINTR, circumstance)


@pytest.mark.claim("states.precedence")
@irqchip_in_kernel
def test_argument_on_uninitialized_processor(guest: Guest) -> None:
    """The argument is checked before the architecture sees the call: EINVAL there as well."""
    waiting = guest.add_processor()
    waiting.vcpu.immediate_exit = 1
    result = waiting.vcpu.run_raw(1)
    require_errno(
        result, errno.EINVAL, "On an uninitialized processor with immediate_exit=1 and an argument"
    )
