# SPDX-License-Identifier: GPL-2.0-only
"""Immediate runs beside a pending event: it is then as it was before, in each of its parts."""

from __future__ import annotations

from harness.kvm.arch.x86_64 import pending
from harness.kvm.guest import Guest
from harness.require import require_eintr, require_same_state
from harness.ways import BYTE

TIMES = (1, 20)  # a defect that toggles cancels out over an even number


def require_kept(guest: Guest, what: str) -> None:
    """Every field of KVM_GET_VCPU_EVENTS, CR2, DR6, DR7, RFLAGS and RIP stay in immediate runs."""
    __tracebackhide__ = True
    for times in TIMES:
        before = pending.waiting(guest.vcpu)
        result = BYTE.run_many(guest.vcpu, times)
        circumstance = f"In {times} immediate run{'s' * (times > 1)} with {what}"
        require_eintr(result, circumstance)
        require_same_state(before, pending.waiting(guest.vcpu), circumstance)
