# SPDX-License-Identifier: GPL-2.0-only
"""What userspace can do to a vCPU on x86-64 only, in C."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from harness.sequences.operation import Arguments
from lab.reproduction.arch import UntoldError
from lab.reproduction.operations import leave
from lab.reproduction.telling import Telling

_READS = {
    "sregs": ("KVM_GET_SREGS", "KVM_SET_SREGS", "kvm_sregs"),
    "regs": ("KVM_GET_REGS", "KVM_SET_REGS", "kvm_regs"),
    "debugregs": ("KVM_GET_DEBUGREGS", "KVM_SET_DEBUGREGS", "kvm_debugregs"),
    "xcrs": ("KVM_GET_XCRS", "KVM_SET_XCRS", "kvm_xcrs"),
    "xsave": ("KVM_GET_XSAVE", "KVM_SET_XSAVE", "kvm_xsave"),
    "events": ("KVM_GET_VCPU_EVENTS", "KVM_SET_VCPU_EVENTS", "kvm_vcpu_events"),
    "lapic": ("KVM_GET_LAPIC", "KVM_SET_LAPIC", "kvm_lapic_state"),
}


def _rewrite(tell: Telling, given: Arguments) -> None:
    get, put, kind = _READS[given["struct"]]
    tell.say("{", f"\tstruct {kind} same;", "", f"\tif (!ioctl(vcpu, {get}, &same))")
    tell.say(f"\t\tioctl(vcpu, {put}, &same);", "}")


def _set_register(tell: Telling, given: Arguments) -> None:
    place, value = given["place"], given["value"]
    if place not in ("rbp", "r8", "r9"):
        raise UntoldError(f"setting {place}")
    state = tell.model.state
    tell.say("{", "\tstruct kvm_regs regs;", "")
    tell.say('\tmust(ioctl(vcpu, KVM_GET_REGS, &regs), "KVM_GET_REGS");')
    tell.say(f"\tregs.{place} = {value:#x};")
    tell.say('\tmust(ioctl(vcpu, KVM_SET_REGS, &regs), "KVM_SET_REGS");', "}")
    tell.change(replace(state, places={**state.places, place: value}))


def _wait_and_leave(tell: Telling, given: Arguments) -> None:
    tell.say(f"mp_state(KVM_MP_STATE_{given['state']}, 0);", needs=("mp_state",))
    leave(tell, given["way"])
    tell.say(f"mp_state(KVM_MP_STATE_{given['state']}, 1);")
    tell.say("mp_state(KVM_MP_STATE_RUNNABLE, 0);")


def _shared_registers(tell: Telling, given: Arguments) -> None:
    change = given["change"] and not tell.model.pending
    if change:
        state = tell.model.state
        tell.change(replace(state, places={**state.places, "r9": given["value"]}))
    tell.say(f"hand_over({int(change)}, {given['value']:#x});", needs=("shared",))
    leave(tell, given["way"])
    tell.say("handed_over();")


OPERATIONS: Mapping[str, Callable[[Telling, Arguments], None]] = {
    "rewrite": _rewrite,
    "set_register": _set_register,
    "wait_and_leave": _wait_and_leave,
    "shared_registers": _shared_registers,
}
