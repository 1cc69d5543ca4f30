# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: interrupt messages to APIC id 0, by their delivery mode (Intel SDM volume 3, 11.11.2).

What wakes a vCPU by such a message is waking it as another processor or a device does: while its
thread is in KVM_RUN, where no ioctl of the vCPU is answered.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from harness.kvm import wires
from harness.kvm.arch.x86_64 import ioctls, routing
from harness.kvm.vm import Vm

_LOWEST_PRIORITY, _SMI, _KICK = 1 << 8, 2 << 8, 3 << 8
_PIN = 4

Message = Callable[[Vm], int]


def _message(data: int) -> Message:
    return lambda vm: vm.signal_msi(ioctls.X2APIC_MSI_ADDRESS, data)


def _by_eventfd(vm: Vm) -> int:
    """KVM_IRQFD: the write to the eventfd sends it, and the eventfd may go then."""
    routing.route_interrupt(vm, _PIN, ioctls.INTERRUPT_VECTOR)
    fd = os.eventfd(0)
    try:
        wires.interrupt_by(vm, fd, _PIN)
        os.eventfd_write(fd, 1)
    finally:
        os.close(fd)
    return 1


#: Each sends one to the first vCPU, and says how many vCPUs took it. Raises `KvmError`.
SENDERS: Mapping[str, Message] = {
    "an interrupt": _message(ioctls.INTERRUPT_VECTOR),
    "an interrupt of lowest priority": _message(_LOWEST_PRIORITY | ioctls.INTERRUPT_VECTOR),
    "an interrupt by an eventfd": _by_eventfd,
    "an NMI": _message(ioctls.MSI_NMI),
    "an SMI": _message(_SMI),
    # What KVM_HC_KICK_CPU sends: "remote read", which no processor has any more (24d2166beb8a).
    "a kick": _message(_KICK),
}
