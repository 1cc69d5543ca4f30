# SPDX-License-Identifier: GPL-2.0-only
"""riscv64: an interrupt that ends when the guest has taken it, also without a controller.

KVM_INTERRUPT is a line, which stays up until userspace lowers it. A software interrupt is the
guest's to clear, but only a hart can raise it: so the VM has one more, which does nothing else.
"""

from __future__ import annotations

import weakref

import guest_blobs
from harness.kvm.arch.riscv64.state import enter
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm

_RAM = 0  # the slot
_senders: weakref.WeakKeyDictionary[Vm, Vcpu] = weakref.WeakKeyDictionary()


def send(vm: Vm) -> None:
    """A software interrupt for each vCPU of the VM, by the SBI's IPI. Raises `KvmError`."""
    if vm not in _senders:
        _senders[vm] = _new_sender(vm)
    _senders[vm].run()


def _new_sender(vm: Vm) -> Vcpu:
    """Its number is the highest, for the tests have theirs from 0 on."""
    sender = vm.create_vcpu(vm.check_extension("KVM_CAP_MAX_VCPUS") - 1)
    blob = guest_blobs.load("sender", "riscv64", "bare")
    memory = vm.memory(_RAM)
    memory.write(blob.load_address, blob.code)
    enter(sender, vm, memory, blob)
    return sender
