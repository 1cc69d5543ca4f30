# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: a vCPU's state is changed for a while, and then as it was."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from harness.kvm.abi import KvmError
from harness.kvm.vcpu import Vcpu
from harness.native import ffi, lib

_LAPIC = ("KVM_GET_LAPIC", "KVM_SET_LAPIC", "kvm_lapic_state")
# In the order in which they are put back: special registers decide what others may be.
STRUCTS = {
    "sregs": ("KVM_GET_SREGS", "KVM_SET_SREGS", "kvm_sregs"),
    "lapic": _LAPIC,
    "regs": ("KVM_GET_REGS", "KVM_SET_REGS", "kvm_regs"),
    "debugregs": ("KVM_GET_DEBUGREGS", "KVM_SET_DEBUGREGS", "kvm_debugregs"),
    "xcrs": ("KVM_GET_XCRS", "KVM_SET_XCRS", "kvm_xcrs"),
    "xsave": ("KVM_GET_XSAVE", "KVM_SET_XSAVE", "kvm_xsave"),
    "events": ("KVM_GET_VCPU_EVENTS", "KVM_SET_VCPU_EVENTS", "kvm_vcpu_events"),
}
# Else the kernel leaves these of the events as they are.
_ALL_EVENTS = (
    lib.KVM_VCPUEVENT_VALID_NMI_PENDING
    | lib.KVM_VCPUEVENT_VALID_SHADOW
    | lib.KVM_VCPUEVENT_VALID_SMM
)


def read(vcpu: Vcpu, name: str) -> Any:
    """A fresh struct of STRUCTS. Raises `KvmError`."""
    get, _, kind = STRUCTS[name]
    found = ffi.new(f"struct {kind} *")
    vcpu.ioctl(get, found)
    if name == "events":
        found.flags |= _ALL_EVENTS
    return found


def write(vcpu: Vcpu, name: str, value: Any) -> None:
    """Sets it. Raises `KvmError`."""
    vcpu.ioctl(STRUCTS[name][1], value)


def rewrite(vcpu: Vcpu) -> None:
    """All of STRUCTS is read and set again, as far as KVM has it: nothing has changed."""
    for name in STRUCTS:
        with contextlib.suppress(KvmError):
            write(vcpu, name, read(vcpu, name))


@contextmanager
def kept(vcpu: Vcpu) -> Iterator[None]:
    """What STRUCTS names, and the MP state, are put back at the end, as far as KVM has them."""
    with contextlib.ExitStack() as put_back:
        state = vcpu.mp_state()
        for name in reversed(STRUCTS):
            with contextlib.suppress(KvmError):
                put_back.callback(_quietly, write, vcpu, name, read(vcpu, name))
        put_back.callback(vcpu.set_mp_state, state)
        yield


def _quietly(change: Callable[..., None], *arguments: Any) -> None:
    with contextlib.suppress(KvmError):
        change(*arguments)
