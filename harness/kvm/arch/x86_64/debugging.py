# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: breakpoints, of the host (KVM_SET_GUEST_DEBUG, api.rst 4.87) and of the guest itself."""

from __future__ import annotations

from harness.kvm import abi
from harness.kvm.arch.x86_64 import ioctls
from harness.kvm.vcpu import Vcpu
from harness.native import ffi, lib

TRAP_FLAG = 1 << 8  # of RFLAGS
SINGLE_STEP = 1 << 14  # of DR6: BS
_ALWAYS = 1 << 10  # the bit of DR7 that is always 1
_ENABLED = 1  # DR7: breakpoint 0, local
_ON_WRITE_OF_4 = 0xD << 16  # DR7: breakpoint 0 is a write of four bytes (R/W0 1, LEN0 3)


def break_at(vcpu: Vcpu, address: int) -> None:
    """KVM_RUN leaves with KVM_EXIT_DEBUG before the instruction there. Raises `KvmError`."""
    request = ffi.new("struct kvm_guest_debug *")
    request.control = lib.KVM_GUESTDBG_ENABLE | lib.KVM_GUESTDBG_USE_HW_BP
    registers = lib.ke_debug_registers(request)
    registers[0], registers[7] = address, _ALWAYS | _ENABLED
    abi.ioctl(vcpu.fd, "KVM_SET_GUEST_DEBUG", request)


def watch_writes(vcpu: Vcpu, address: int) -> None:
    """The guest's own DR0 and DR7: #DB behind each write of the word there. Raises `KvmError`."""
    debug = ffi.new("struct kvm_debugregs *")
    vcpu.ioctl("KVM_GET_DEBUGREGS", debug)
    debug.db[0], debug.dr7 = address, _ALWAYS | _ENABLED | _ON_WRITE_OF_4
    vcpu.ioctl("KVM_SET_DEBUGREGS", debug)


def watch_nothing(vcpu: Vcpu) -> None:
    """The guest's own breakpoints are off. Raises `KvmError`."""
    debug = ffi.new("struct kvm_debugregs *")
    vcpu.ioctl("KVM_GET_DEBUGREGS", debug)
    debug.dr7 = _ALWAYS
    vcpu.ioctl("KVM_SET_DEBUGREGS", debug)


def reasons(vcpu: Vcpu) -> int:
    """DR6: why the last #DB came. Of one that waits only after `pending.events()`. `KvmError`."""
    debug = ffi.new("struct kvm_debugregs *")
    vcpu.ioctl("KVM_GET_DEBUGREGS", debug)
    return int(debug.dr6)


def trap_flag(vcpu: Vcpu) -> bool:
    """RFLAGS.TF as KVM_GET_REGS gives it: the guest's own, not the host's. Raises `KvmError`."""
    return bool(ioctls.get_regs(vcpu).rflags & TRAP_FLAG)
