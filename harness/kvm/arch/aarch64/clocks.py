# SPDX-License-Identifier: GPL-2.0-only
"""arm64: what a guest tells time by, as userspace reads and sets it.

The counters of each vCPU are the host's, less an offset of the VM's that KVM alone knows
(arch/arm64/kvm/arch_timer.c). So the reference is the same counter of another VM's vCPU, read just
before and just behind: the difference of the two is known within what passed between these reads.
"""

from __future__ import annotations

from harness.kvm.arch.aarch64 import names
from harness.kvm.registers import get_register, set_register
from harness.kvm.vcpu import Vcpu

COUNTERS = ("cntvct_el0", "cntpct_el0")
_READS = 20  # of which the closest is taken: the host may do something else in between
_ENABLE = 1  # of CNTV_CTL_EL0


def ahead(vcpu: Vcpu, reference: Vcpu, counter: str) -> range:
    """How many ticks a vCPU's counter is ahead of another's, as closely as it can be told."""
    number = names.number(counter)
    found = []
    for _ in range(_READS):
        before = get_register(reference, number)
        own = get_register(vcpu, number)
        after = get_register(reference, number)
        found.append(range(own - after, own - before + 1))
    return min(found, key=len)


def start_timer(vcpu: Vcpu, ticks: int) -> int:
    """The virtual timer fires so many ticks from now: its deadline."""
    deadline = get_register(vcpu, names.number("cntvct_el0")) + ticks
    set_register(vcpu, names.number("cntv_cval_el0"), deadline)
    set_register(vcpu, names.number("cntv_ctl_el0"), _ENABLE)
    return deadline


def timer(vcpu: Vcpu) -> tuple[bool, int]:
    """Whether the virtual timer is on, and its deadline."""
    control = get_register(vcpu, names.number("cntv_ctl_el0"))
    return bool(control & _ENABLE), get_register(vcpu, names.number("cntv_cval_el0"))


def is_over(vcpu: Vcpu) -> bool:
    """Whether the virtual timer's deadline has passed."""
    now = get_register(vcpu, names.number("cntvct_el0"))
    return now >= get_register(vcpu, names.number("cntv_cval_el0"))
