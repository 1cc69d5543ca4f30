# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: why a vCPU stands still, for a bug report."""

from __future__ import annotations

import struct
from contextlib import suppress

from harness.kvm import abi
from harness.kvm.arch.x86_64.ioctls import (
    TSC,
    TSC_DEADLINE,
    get_events,
    get_lapic,
    get_msr,
    get_regs,
)
from harness.kvm.arch.x86_64.state import IRR, ISR, fields, vectors
from harness.kvm.vcpu import Vcpu
from harness.native import ffi

_RFLAGS_IF = 1 << 9
_STATES = ("RUNNABLE", "UNINITIALIZED", "INIT_RECEIVED", "HALTED", "SIPI_RECEIVED")
# Places of the local APIC's registers in its page.
_REGISTERS = {"TPR": 0x80, "PPR": 0xA0, "SPIV": 0xF0, "LVTT": 0x320, "TMICT": 0x380, "TMCCT": 0x390}


def standstill(vcpu: Vcpu) -> str:
    """Program counter, flags, MP state, events, and the local APIC with its timer: one clause.

    What this KVM does not tell (it may keep no local APIC) is left out.
    """
    parts = []
    for part in (_registers, _state, _events, _local_apic, _deadline):
        with suppress(abi.KvmError):
            parts.append(part(vcpu))
    return ", ".join(parts)


def _registers(vcpu: Vcpu) -> str:
    regs = get_regs(vcpu)
    return f"rip {regs.rip:#x}, interrupts {'on' if regs.rflags & _RFLAGS_IF else 'off'}"


def _state(vcpu: Vcpu) -> str:
    found = vcpu.mp_state()
    names = {abi.constant(f"KVM_MP_STATE_{name}"): name for name in _STATES}
    return f"MP state {names.get(found, found)}"


def _events(vcpu: Vcpu) -> str:
    """Those that are not 0."""
    found = {name: value for name, value in fields(get_events(vcpu)).items() if value}
    found.pop("flags", None)
    return f"events {' '.join(f'{name}={value:#x}' for name, value in found.items()) or 'none'}"


def _local_apic(vcpu: Vcpu) -> str:
    lapic = get_lapic(vcpu)
    page = bytes(ffi.buffer(lapic))
    values = [f"{name} {_word(page, place):#x}" for name, place in _REGISTERS.items()]
    for name, place in (("IRR", IRR), ("ISR", ISR)):
        found = " ".join(f"{vector:#x}" for vector in vectors(lapic, place))
        values.append(f"{name} {found or 'empty'}")
    return f"local APIC: {', '.join(values)}"


def _deadline(vcpu: Vcpu) -> str:
    return f"TSC {get_msr(vcpu, TSC):#x}, its deadline {get_msr(vcpu, TSC_DEADLINE):#x}"


def _word(page: bytes, place: int) -> int:
    return int(struct.unpack_from("<I", page, place)[0])
