# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: what the guest finds in its own processor (guest_blobs/x86_64/registers.S).

KVM tells userspace what it keeps of a vCPU; the processor may hold something else of it. Only the
guest sees that.
"""

from __future__ import annotations

import struct

from guest_blobs import memory_map as at
from harness.kvm.abi import KvmError
from harness.kvm.arch.x86_64 import ioctls, patterns
from harness.kvm.guest import Guest
from harness.kvm.vcpu import Vcpu
from harness.native import ffi

# The places of registers.S.
_FIRST_LOOK, _MSR_LIST = 0xA000, 0xE800
_WORDS_AT, _MSRS_AT = 0x2000, 0x2100
_WORDS = (
    *("DR0", "DR1", "DR2", "DR3", "DR6", "DR7", "CR0", "CR2", "CR3", "CR4"),
    *("DS", "ES", "FS", "GS", "SS", "CS", "RSP", "RBP"),
    *("R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15"),
)
_ALSO = (0xC000_0080, 0xC000_0100, 0xC000_0101, 0x1B)  # EFER, FS_BASE, GS_BASE, APIC_BASE
_OSFXSR, _OSXMMEXCPT, _OSXSAVE = 1 << 9, 1 << 10, 1 << 18  # CR4
_XSAVE = 1 << 26  # CPUID.1:ECX
_TSC_AUX, _RDTSCP = 0xC000_0103, 1 << 27  # CPUID.80000001:EDX
_COMPONENTS = 0x2E7  # x87, SSE, AVX, AVX-512, PKRU: all that patterns.fill() knows
_XMM_AT = 160
_GENERAL = 0x1111_2222_3333_4444


def prepare(guest: Guest) -> list[int]:
    """Patterns in all that the program looks at, before its first run; the MSRs among it.

    Raises `KvmError`.
    """
    vcpu = guest.vcpu
    sregs = ioctls.get_sregs(vcpu)
    sregs.cr4 |= _OSFXSR | _OSXMMEXCPT
    wanted = 0
    if guest.mode == "long" and ioctls.supported_leaf(1).ecx & _XSAVE:
        sregs.cr4 |= _OSXSAVE
        wanted = int(ioctls.supported_leaf(0xD).eax) & _COMPONENTS
    ioctls.set_sregs(vcpu, sregs)
    if wanted:
        xcrs = ffi.new("struct kvm_xcrs *")
        xcrs.nr_xcrs, xcrs.xcrs[0].value = 1, wanted
        vcpu.ioctl("KVM_SET_XCRS", xcrs)
    patterns.fill(vcpu, guest.vm)
    if guest.mode == "real":
        _set_real_segments(vcpu)
    regs = ioctls.get_regs(vcpu)
    for name, value in _patterned().items():
        setattr(regs, name.lower(), value)
    ioctls.set_regs(vcpu, regs)
    msrs = [index for index in (*patterns.MSRS, *_ALSO) if _has(guest, index)]
    guest.ram.write(_MSR_LIST, struct.pack(f"<{len(msrs) + 1}I", *msrs, 0))
    guest.set_data(0, wanted)
    return msrs


def _patterned() -> dict[str, int]:
    """The general registers that the program leaves alone."""
    names = ("RBP", *(f"R{number}" for number in range(8, 16)))
    return {name: _GENERAL + number for number, name in enumerate(names)}


def _set_real_segments(vcpu: Vcpu) -> None:
    """In real mode a base is 16 times its selector; what is not some processors cannot run."""
    sregs = ioctls.get_sregs(vcpu)
    for segment, selector in ((sregs.fs, 0x1234), (sregs.gs, 0x2345)):
        segment.selector, segment.base = selector, selector << 4
    ioctls.set_sregs(vcpu, sregs)


def _has(guest: Guest, index: int) -> bool:
    """Whether the guest may read it: userspace may read more."""
    if index == _TSC_AUX and not ioctls.supported_leaf(0x80000001).edx & _RDTSCP:
        return False
    try:
        ioctls.get_msr(guest.vcpu, index)
    except KvmError:
        return False
    return True


def sees_patterns(guest: Guest) -> bool:
    """Whether the program's first look found some of them: else it would look at nothing."""
    registers, last = (16, "R15") if guest.mode == "long" else (8, "RBP")
    xmm = guest.ram.read(_FIRST_LOOK + _XMM_AT, 16 * registers)
    words = struct.unpack(f"<{len(_WORDS)}Q", guest.ram.read(_FIRST_LOOK + _WORDS_AT, 8 * 26))
    found = dict(zip(_WORDS, words, strict=True))
    kept = _patterned()[last] & ((1 << (64 if guest.mode == "long" else 32)) - 1)
    return all(xmm) and found["DR0"] != 0 and found[last] == kept


def difference(guest: Guest, msrs: list[int]) -> str:
    """What the program first found to be different, as a clause; empty: nothing."""
    if not guest.data(1):
        return ""
    place = guest.data(2)
    wanted, found = (
        int.from_bytes(guest.ram.read(at.data_word(index), 8), "little") for index in (3, 4)
    )
    return (
        f"{_name(place, msrs)} was {wanted:#x} and is {found:#x} "
        f"(in {guest.data(1)} turns of its loop)"
    )


def _name(place: int, msrs: list[int]) -> str:
    """Of 64 bits in a look, or 32."""
    if place >= _MSRS_AT:
        number = (place - _MSRS_AT) // 8
        return f"MSR {msrs[number]:#x}" if number < len(msrs) else "nothing that it stores"
    if place >= _WORDS_AT:
        return _WORDS[(place - _WORDS_AT) // 8]
    if _XMM_AT <= place < _XMM_AT + 256:
        half = "upper" if (place - _XMM_AT) % 16 >= 8 else "lower"
        return f"the {half} half of xmm{(place - _XMM_AT) // 16}"
    if 32 <= place < _XMM_AT:
        return f"st{(place - 32) // 16}"
    return f"byte {place:#x} of its XSAVE area"
