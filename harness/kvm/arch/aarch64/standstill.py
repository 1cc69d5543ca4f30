# SPDX-License-Identifier: GPL-2.0-only
"""arm64: why a vCPU stands still, for a bug report."""

from __future__ import annotations

from contextlib import suppress

from harness.kvm import abi
from harness.kvm.arch.aarch64 import ioctls, names
from harness.kvm.registers import get_register
from harness.kvm.vcpu import Vcpu

_MASKED = 1 << 7  # of PSTATE
_STATES = ("RUNNABLE", "STOPPED", "SUSPENDED")


def standstill(vcpu: Vcpu) -> str:
    """Program counter, level, MP state, events and the last exception: one clause.

    What this KVM does not tell is left out.
    """
    parts = []
    for part in (_registers, _state, _events, _exception):
        with suppress(abi.KvmError):
            parts.append(part(vcpu))
    return ", ".join(parts)


def _registers(vcpu: Vcpu) -> str:
    state = get_register(vcpu, names.number("pstate"))
    counter = get_register(vcpu, names.number("pc"))
    masked = "masked" if state & _MASKED else "open"
    return f"pc {counter:#x} in EL{state >> 2 & 3}, interrupts {masked}"


def _state(vcpu: Vcpu) -> str:
    found = vcpu.mp_state()
    known = {abi.constant(f"KVM_MP_STATE_{name}"): name for name in _STATES}
    return f"MP state {known.get(found, found)}"


def _events(vcpu: Vcpu) -> str:
    told = ioctls.get_events(vcpu).exception
    return f"SError {'pending' if told.serror_pending else 'not pending'}"


def _exception(vcpu: Vcpu) -> str:
    syndrome, address, back = (
        get_register(vcpu, names.number(name)) for name in ("esr_el1", "far_el1", "elr_el1")
    )
    return f"ESR_EL1 {syndrome:#x}, FAR_EL1 {address:#x}, ELR_EL1 {back:#x}"
