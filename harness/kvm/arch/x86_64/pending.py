# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: what waits for a vCPU: struct kvm_vcpu_events by its fields' names (api.rst 4.31)."""

from __future__ import annotations

from collections.abc import Mapping

from harness.kvm.arch.x86_64 import ioctls, state
from harness.kvm.vcpu import Vcpu
from harness.kvm.whole import WholeState
from harness.native import ffi

_TRIPLE_FAULT = "triple_fault.pending"  # headers before 6.0 do not name it


def events(vcpu: Vcpu) -> Mapping[str, int]:
    """Every field of KVM_GET_VCPU_EVENTS by its path, such as `exception.error_code`. `KvmError`.

    The call is not free of effects: KVM moves NMIs and SMIs that are queued to where it shows them.
    """
    found = ioctls.get_events(vcpu)
    return {**state.fields(found), _TRIPLE_FAULT: int(ioctls.triple_fault_pending(found))}


def change_events(vcpu: Vcpu, fields: Mapping[str, int]) -> None:
    """KVM_SET_VCPU_EVENTS of what there is, with these fields changed. Raises `KvmError`."""
    found = ioctls.get_events(vcpu)
    for path, value in fields.items():
        *parts, last = path.split(".")
        place = found
        for part in parts:
            place = getattr(place, part)
        setattr(place, last, value)
    ioctls.set_events(vcpu, found)


def waiting(vcpu: Vcpu) -> WholeState:
    """The events, and the registers in which an exception leaves what came with it. `KvmError`.

    CR2 and DR6 (the payloads of #PF and #DB), DR7, RFLAGS and RIP.
    """
    debug = ffi.new("struct kvm_debugregs *")
    vcpu.ioctl("KVM_GET_DEBUGREGS", debug)
    regs = ioctls.get_regs(vcpu)
    values = {f"events {name}": value for name, value in events(vcpu).items()}
    values |= {"dr6": int(debug.dr6), "dr7": int(debug.dr7), "rip": int(regs.rip)}
    values |= {"rflags": int(regs.rflags), "cr2": int(ioctls.get_sregs(vcpu).cr2)}
    return WholeState(values, b"")
