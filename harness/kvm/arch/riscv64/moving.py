# SPDX-License-Identifier: GPL-2.0-only
"""riscv64: a vCPU's state is set again, put back, or goes on in another VM, as monitors do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from harness.kvm import settable
from harness.kvm.arch.riscv64 import aia, interrupts
from harness.kvm.arch.riscv64.numbers import CSRS, TIMER, listed
from harness.kvm.registers import get_register
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm

_SSIP = 1 << 1  # of sip: a software interrupt


def _numbers(vcpu: Vcpu) -> Sequence[int]:
    """Of every register but those of the timer. Raises `KvmError`."""
    return [each for each in listed(vcpu) if each not in TIMER.values()]


def rewrite(vcpu: Vcpu) -> None:
    """All that KVM says of the vCPU is set again: nothing has changed. Raises `KvmError`."""
    settable.write(vcpu, settable.read(vcpu, _numbers(vcpu)))


@contextmanager
def put_back(vcpu: Vcpu) -> Iterator[None]:
    """At the end the vCPU is as it was, but for what keeps time. Raises `KvmError`."""
    with settable.mp_state_put_back(vcpu), settable.put_back(vcpu, _numbers(vcpu)):
        yield


def move(source: Vcpu, source_vm: Vm, target: Vcpu, target_vm: Vm) -> None:
    """All that a monitor saves, but for what keeps time. Nothing may be pending to complete.

    Raises `KvmError`.
    """
    settable.write(target, settable.read(source, _numbers(source)))
    target.set_mp_state(source.mp_state())
    if target_vm.irqchip == "none" and get_register(source, CSRS["sip"]) & _SSIP:
        # KVM takes sip for what the guest sees, and not for what ends its wait (irqs_pending).
        interrupts.send(target_vm)
    if target_vm.irqchip == "aia":
        aia.copy(source_vm, target_vm)
