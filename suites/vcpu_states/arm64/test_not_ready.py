# SPDX-License-Identifier: GPL-2.0-only
"""KVM_RUN with the byte set on a vCPU that may not run yet: which of the two is answered."""

from __future__ import annotations

import errno

import pytest

from harness.host.features import reason
from harness.kvm.arch.aarch64 import ioctls
from harness.kvm.guest import Guest
from harness.require import require_errno, require_runs_on, require_untouched
from suites.dimensions import every_irqchip, only_on

pytestmark = [pytest.mark.usefixtures("capability"), only_on("aarch64")]

REPEATS = 20
SVE = "KVM_ARM_VCPU_SVE"


def require_refused(guest: Guest, error: int, circumstance: str) -> None:
    """The error, with the byte and without."""
    for byte in (1, 0xFF, 0):
        guest.vcpu.immediate_exit = byte
        for _ in range(REPEATS):
            result = guest.vcpu.run_raw(progress_forbidden=True)
            require_errno(result, error, f"{circumstance}, with immediate_exit={byte}")
    assert guest.heartbeat == 0, f"{circumstance}, the guest executed instructions"


def require_good(guest: Guest, mode: str, circumstance: str) -> None:
    """Once it may run the byte is obeyed, and the guest runs."""
    guest.load("heartbeat", mode)
    require_untouched(guest, circumstance, times=REPEATS)
    require_runs_on(guest, circumstance)


@pytest.mark.claim("states.precedence")
@every_irqchip
def test_not_initialized(guest: Guest, guest_mode: str) -> None:
    """arch/arm64/kvm/arm.c, kvm_arch_vcpu_run_pid_change(): ENOEXEC before KVM_ARM_VCPU_INIT, and
    that comes before the byte."""
    require_refused(guest, errno.ENOEXEC, "On a vCPU that was not initialized")
    require_good(guest, guest_mode, "On a vCPU that was refused until it was initialized")


@pytest.mark.claim("states.precedence")
@every_irqchip
def test_not_finalized(guest: Guest, guest_mode: str) -> None:
    """The same: EPERM where the length of SVE's vectors is open (KVM_ARM_VCPU_FINALIZE)."""
    if SVE not in ioctls.features():
        pytest.skip(reason("no_sve"))
    ioctls.init_vcpu(guest.vcpu, *ioctls.features())
    require_refused(guest, errno.EPERM, "On a vCPU whose SVE is not finalized")
    require_good(guest, guest_mode, "On a vCPU that was refused until its SVE was finalized")
