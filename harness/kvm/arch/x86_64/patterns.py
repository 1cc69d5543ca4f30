# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: values in whatever of a vCPU's state would else be zero, so that a loss of it is seen."""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial
from typing import Any

from harness.kvm.abi import KvmError
from harness.kvm.arch.x86_64 import ioctls, readable, state
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm
from harness.native import ffi, lib

_TYPES = bytes((0, 1, 4, 5, 6))  # of memory: UC, WC, WT, WP, WB
#: MSRs that a guest may set to anything, or to these; those that this vCPU lacks are left out.
MSRS = {
    0x174: 0x0123,  # IA32_SYSENTER_CS
    0x175: 0x1234_5678_9ABC,  # IA32_SYSENTER_ESP
    0x176: 0x2345_6789_ABCD,  # IA32_SYSENTER_EIP
    0x277: 0x0001_0407_0605_0007,  # IA32_PAT: each type somewhere else than after a reset
    0xC000_0081: 0x0011_2233_4455_6677,  # STAR
    0xC000_0082: 0x3456_789A_BCDE,  # LSTAR
    0xC000_0083: 0x4567_89AB_CDEF,  # CSTAR
    0xC000_0084: 0x0004_7700,  # SFMASK
    0xC000_0102: 0x5678_9ABC_DEF0,  # KERNEL_GS_BASE
    0xC000_0103: 0x0000_5A5A,  # TSC_AUX
    0x200: 0x8000_0006,  # IA32_MTRR_PHYSBASE0: write-back
    0x201: 0x0000_000F_8000_0000,  # IA32_MTRR_PHYSMASK0, not in force
    # The fixed ranges, not in force either: every memory type there is.
    **{
        index: int.from_bytes((_TYPES * 3)[place % 5 :][:8], "little")
        for place, index in enumerate((0x250, 0x258, 0x259, *range(0x268, 0x270)))
    },
    # Status, address and rest of what banks for machine checks found.
    **{
        0x400 + 4 * bank + part: 0x1234_5600 + 4 * bank + part
        for bank in (0, 2)
        for part in (1, 2, 3)
    },
}
_SSE, _FP = 1 << 1, 1 << 0
_PKRU = 9  # a component of which only the low half counts
#: Components whose every byte a guest may choose: AVX, and the three of AVX-512.
_FREE_COMPONENTS = (2, 5, 6, 7)
_FCW, _MXCSR = 0x027F, 0x1F80 | 1 << 15  # double precision; flush to zero
_FS_BASE, _GS_BASE, _CR2 = 0x1_2340, 0x2_3450, 0xCAFE_F00D
_RFLAGS = 1 << 10 | 1 << 18 | 1 << 21  # DF, AC, ID: no program has a use of them
_LONG_ONLY = tuple(f"r{number}" for number in range(8, 16))  # which no program uses before it sets
_IN_SERVICE, _WAITS = 0x61, 0x31  # vectors; the waiting one has the lower priority


def fill(vcpu: Vcpu, vm: Vm) -> None:
    """Patterns in registers, extended state, MSRs, debug registers, events and the local APIC.

    For a vCPU that is put at its program's entry: nothing of it changes what a program does before
    an interrupt. A part that this KVM lacks is left out. Raises `KvmError`.
    """
    fill_quietly(vcpu, vm)
    for part in (_lapic, _events):
        _where_it_is(partial(part, vcpu, vm))


def fill_quietly(vcpu: Vcpu, vm: Vm) -> None:
    """The same without events and APIC: for a vCPU that is to take events afterwards.

    Of extended state that was never used XSAVE may say so or not: patterns leave it no choice.
    """
    _where_it_is(partial(_general, vcpu, vm))
    fill_behind(vcpu, vm)


def fill_behind(vcpu: Vcpu, vm: Vm) -> None:
    """The same without general registers and flags: for a program that has uses of them."""
    for part in (_special, _features, _extended, _debug, _msrs):
        _where_it_is(partial(part, vcpu, vm))


def _where_it_is(change: Callable[[], None]) -> None:
    try:
        change()
    except KvmError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTTY, errno.ENOENT, errno.ENXIO):
            raise


def _general(vcpu: Vcpu, _vm: Vm) -> None:
    regs = ioctls.get_regs(vcpu)
    regs.rflags |= _RFLAGS
    for number, name in enumerate(_LONG_ONLY):
        setattr(regs, name, int.from_bytes(_pattern(8, 0x20 + number), "little"))
    ioctls.set_regs(vcpu, regs)


def _special(vcpu: Vcpu, _vm: Vm) -> None:
    sregs = ioctls.get_sregs(vcpu)
    sregs.cr2, sregs.fs.base, sregs.gs.base = _CR2, _FS_BASE, _GS_BASE
    if not sregs.cr0 & state.CR0_PE:
        # Of real mode VMX may take only a base that goes with its selector.
        sregs.fs.selector, sregs.gs.selector = _FS_BASE >> 4, _GS_BASE >> 4
    ioctls.set_sregs(vcpu, sregs)


def _features(vcpu: Vcpu, _vm: Vm) -> None:
    """XCR0 with one component more than the one that a reset leaves."""
    found = ffi.new("struct kvm_xcrs *")
    found.nr_xcrs, found.xcrs[0].value = 1, _FP | _SSE
    vcpu.ioctl("KVM_SET_XCRS", found)


def _extended(vcpu: Vcpu, _vm: Vm) -> None:
    """By KVM_SET_XSAVE with its components marked: what KVM_SET_FPU sets, XSAVE may call unused."""
    found = ffi.new("struct kvm_xsave *")
    vcpu.ioctl("KVM_GET_XSAVE", found)
    area = ffi.buffer(found.region)
    wanted = _FP | _SSE
    area[0:2] = _FCW.to_bytes(2, "little")
    area[24:28] = _MXCSR.to_bytes(4, "little")
    for register in range(8):
        area[32 + 16 * register : 42 + 16 * register] = _pattern(10, register)
    area[160:416] = _pattern(256, 0x40)
    for component, size, place in readable.components():
        if component in _FREE_COMPONENTS and place + size <= len(area):
            area[place : place + size] = _pattern(size, component)
        elif component == _PKRU:
            area[place : place + 4] = (0x5555_5550).to_bytes(4, "little")
        else:
            continue
        wanted |= 1 << component
    area[512:520] = wanted.to_bytes(8, "little")
    vcpu.ioctl("KVM_SET_XSAVE", found)


def _debug(vcpu: Vcpu, _vm: Vm) -> None:
    """Addresses of breakpoints, of which none is enabled."""
    found = ffi.new("struct kvm_debugregs *")
    vcpu.ioctl("KVM_GET_DEBUGREGS", found)
    for number in range(4):
        found.db[number] = 0x1_1111_0000 * (number + 1)
    vcpu.ioctl("KVM_SET_DEBUGREGS", found)


def _msrs(vcpu: Vcpu, _vm: Vm) -> None:
    for index, value in MSRS.items():
        _where_it_is(partial(ioctls.set_msr, vcpu, index, value))


def _lapic(vcpu: Vcpu, vm: Vm) -> None:
    """A vector in service, and one that waits for its end; both wait for the guest's IF as well."""
    if vm.irqchip == "none":
        return
    page = ioctls.get_lapic(vcpu)
    view = ffi.buffer(page)
    for place, vector in ((state.ISR, _IN_SERVICE), (state.IRR, _WAITS)):
        at = place + 16 * (vector // 32)
        word = int.from_bytes(view[at : at + 4], "little") | 1 << vector % 32
        view[at : at + 4] = word.to_bytes(4, "little")
    ioctls.set_lapic(vcpu, page)


def _events(vcpu: Vcpu, _vm: Vm) -> None:
    """NMIs masked, and the shadow of an instruction that held interrupts off."""
    events: Any = ioctls.get_events(vcpu)
    events.nmi.masked = 1
    events.interrupt.shadow = 1
    events.flags = lib.KVM_VCPUEVENT_VALID_SHADOW
    ioctls.set_events(vcpu, events)


def _pattern(length: int, seed: int) -> bytes:
    """No byte is zero, and no two registers are the same."""
    return bytes(1 + (seed * 37 + place * 11) % 255 for place in range(length))
