# SPDX-License-Identifier: GPL-2.0-only
"""Poisoned fields of kvm_run are told as such until KVM_RUN has written them, on the real KVM."""

from __future__ import annotations

import platform

import pytest

from harness.host import obstacles
from harness.kvm.arch.x86_64 import run_fields
from harness.kvm.guest import create
from harness.kvm.system import System

X86_KVM = pytest.mark.skipif(
    platform.machine() != "x86_64" or obstacles.preflight() is not None,
    reason="there is no KVM whose fields this could read",
)


@X86_KVM
@pytest.mark.parametrize("irqchip", ["none", "split"])
def test_each_poisoned_field_contradicts(irqchip: str) -> None:
    with System() as system, create(system, irqchip) as guest:
        guest.load("heartbeat", "long")
        run_fields.poison(guest.vcpu, guest.vm)
        told = run_fields.contradictions(guest.vcpu, guest.vm)
        assert [each.field for each in told] == [
            *("if_flag", "cr8", "apic_base", "flags", "ready_for_interrupt_injection"),
        ]
        assert guest.run_immediate().gave_eintr
        assert run_fields.contradictions(guest.vcpu, guest.vm) == []
