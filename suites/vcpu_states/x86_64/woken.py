# SPDX-License-Identifier: GPL-2.0-only
"""A processor that is woken from its wait for INIT, as often as it takes."""

from __future__ import annotations

from harness.kvm.abi import constant
from harness.kvm.arch.x86_64 import ioctls
from harness.kvm.run import RunResult
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.undisturbed import first_undisturbed


def run_woken(vm: Vm, vcpu: Vcpu, apic_id: int) -> RunResult:
    """KVM_RUN of a processor that waits and has been sent an INIT: EAGAIN on a sound KVM.

    A run that ends for nothing takes the INIT as well, with EINTR in the place of EAGAIN. So the
    processor then waits anew, and is woken anew.
    """

    def wake() -> RunResult:
        vcpu.set_mp_state(constant("KVM_MP_STATE_UNINITIALIZED"))
        ioctls.send_init(vm, apic_id)
        return vcpu.run_raw(goes_on=False)

    return first_undisturbed(wake)
