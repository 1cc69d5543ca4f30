# SPDX-License-Identifier: GPL-2.0-only
"""What userspace can do to a vCPU on x86-64 only, in C."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from harness.model.x86_64 import MSR_PLACES, PROGRAM, tells_only
from harness.sequences.operation import Arguments
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
    place = given["place"]
    value = given["value"] & PROGRAM.held_bits(place)
    state = tell.model.state
    if place in MSR_PLACES:
        tell.say(f"set_msr({MSR_PLACES[place]:#x}, {value:#x});", needs=("msr",))
    elif place.startswith("dr"):
        tell.say(f"set_debug_register({place[2:]}, {value:#x});", needs=("debug",))
    else:
        kind = "sregs" if place == "cr2" else "regs"
        get, put, struct = _READS[kind]
        tell.say("{", f"\tstruct {struct} {kind};", "")
        tell.say(f'\tmust(ioctl(vcpu, {get}, &{kind}), "{get}");')
        tell.say(f"\t{kind}.{place} = {value:#x};")
        tell.say(f'\tmust(ioctl(vcpu, {put}, &{kind}), "{put}");', "}")
    tell.change(replace(state, places={**state.places, place: value}))


def _nmi(tell: Telling, given: Arguments) -> None:
    tell.say('must(ioctl(vcpu, KVM_NMI), "KVM_NMI");')
    tell.change(tell.model.state.sent("NMIs"))


def _interrupt(tell: Telling, given: Arguments) -> None:
    tell.say("interrupt();", needs=("interrupt",))
    tell.change(tell.model.state.sent("interrupts"))


def _filter_again(tell: Telling, given: Arguments) -> None:
    tell.say("filter_msr();", needs=("filter",))


def _wait_and_leave(tell: Telling, given: Arguments) -> None:
    tell.say(f"mp_state(KVM_MP_STATE_{given['state']}, 0);", needs=("mp_state",))
    leave(tell, given["way"])
    tell.say(f"mp_state(KVM_MP_STATE_{given['state']}, 1);")
    tell.say("mp_state(KVM_MP_STATE_RUNNABLE, 0);")


def _shared_registers(tell: Telling, given: Arguments) -> None:
    change = given["change"] and (tells_only(tell.model.step) or not tell.model.pending)
    if change:
        state = tell.model.state
        tell.change(replace(state, places={**state.places, "r9": given["value"]}))
    tell.say(f"hand_over({int(change)}, {given['value']:#x});", needs=("shared",))
    leave(tell, given["way"])
    tell.say("handed_over();")


OPERATIONS: Mapping[str, Callable[[Telling, Arguments], None]] = {
    "nmi": _nmi,
    "interrupt": _interrupt,
    "filter_again": _filter_again,
    "rewrite": _rewrite,
    "set_register": _set_register,
    "wait_and_leave": _wait_and_leave,
    "shared_registers": _shared_registers,
}
