# SPDX-License-Identifier: GPL-2.0-only
"""Conditions that may be so for some runs of a sequence's vCPU on x86-64, and are then no more.

All of `harness.conditions`, but those that stay and change exits, that run the guest or its VM
anew, or that touch what the model keeps account of: mask, dirty log, vCPUs, the filter of an MSR,
and pages that KVM shares with the guest.
"""

from __future__ import annotations

from collections.abc import Mapping

from harness.conditions import of_vm
from harness.conditions.condition import Condition
from harness.conditions.x86_64 import of_services, of_vcpu

_LEFT_OUT = (
    *(*of_vm.NOT_TAKEN_BACK, of_vcpu.sync_dirty),
    *(of_vcpu.patterns_everywhere, of_services.xen_guest),  # one of Xen's has no stolen time
    *(of_services.shared_pages, of_services.told_of_pause),
    of_services.tsc_scaled,  # without a capability KVM's catching up does not end
    *(of_services.msr_exits, of_services.mp_states, of_services.apic_registers),
)
CONDITIONS: Mapping[str, Condition] = {
    each.__name__: each
    for each in (
        *of_vm.OF_THE_VM,
        *of_vcpu.OF_EVERY_VCPU,
        *of_services.OF_EVERY_VM,
        *of_services.WITH_LOCAL_APIC,
    )
    if each not in _LEFT_OUT
}
