# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: a guest that runs a guest of its own: what KVM keeps of it (api.rst 4.114, 4.115)."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Any

from harness.kvm.abi import KvmError
from harness.kvm.arch.x86_64 import ioctls
from harness.kvm.guest import Guest
from harness.kvm.vcpu import Vcpu
from harness.native import ffi, lib

_LARGEST = 128 + 8192  # header and two pages: VMX's, the larger
_VM_HSAVE_PA = 0xC0010117  # where a hypervisor on SVM lets the processor keep its own state


@dataclass(frozen=True)
class NestedState:
    """What KVM_GET_NESTED_STATE gave, to be given to another vCPU as it is."""

    flags: int
    raw: bytes

    @property
    def in_guest(self) -> bool:
        """The vCPU executes its guest's own guest."""
        return bool(self.flags & lib.KVM_STATE_NESTED_GUEST_MODE)

    @property
    def run_pending(self) -> bool:
        """That guest has been entered by its hypervisor, and not yet by the processor."""
        return bool(self.flags & lib.KVM_STATE_NESTED_RUN_PENDING)


def get_state(vcpu: Vcpu) -> NestedState:
    """KVM_GET_NESTED_STATE. Raises `KvmError`."""
    room, found = _room()
    found.size = _LARGEST
    vcpu.ioctl("KVM_GET_NESTED_STATE", found)
    return NestedState(int(found.flags), bytes(ffi.buffer(room, found.size)))


def set_state(vcpu: Vcpu, state: NestedState) -> None:
    """KVM_SET_NESTED_STATE, behind the registers. Raises `KvmError`."""
    room, wanted = _room()
    ffi.buffer(room, len(state.raw))[:] = state.raw
    vcpu.ioctl("KVM_SET_NESTED_STATE", wanted)


def hand_over(source: Guest, target: Guest) -> None:
    """Memory, registers and nested state: `target` goes on where `source` is. Raises `KvmError`."""
    source.copy_to(target)
    try:
        ioctls.set_msr(target.vcpu, _VM_HSAVE_PA, ioctls.get_msr(source.vcpu, _VM_HSAVE_PA))
    except KvmError as error:
        if error.errno != errno.ENOENT:
            raise
    set_state(target.vcpu, get_state(source.vcpu))


def says_in_guest(vcpu: Vcpu) -> bool:
    """KVM_RUN_X86_GUEST_MODE in kvm_run.flags: KVM_CAP_X86_GUEST_MODE, Linux 6.11."""
    return bool(vcpu.run_page.flags & lib.KVM_RUN_X86_GUEST_MODE)


def _room() -> tuple[Any, Any]:
    room = ffi.new("uint64_t[]", _LARGEST // 8)
    return room, ffi.cast("struct kvm_nested_state *", room)
