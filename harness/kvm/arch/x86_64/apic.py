# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: registers of a local APIC (Intel SDM volume 3, 11.4.1), set by KVM_SET_LAPIC."""

from __future__ import annotations

from typing import Any

from harness.kvm.arch.x86_64 import ioctls, state
from harness.kvm.guest import Guest
from harness.kvm.vcpu import Vcpu
from harness.native import ffi

#: Where they lie in the page.
REGISTERS = range(0, 0x400, 0x10)
_SPURIOUS, _TIMER, _TIMER_COUNT = 0xF0, 0x320, 0x380
_ENABLED, _MASKED, _PERIODIC = 1 << 8, 1 << 16, 1 << 17
_LONG = 0x7FFFFFFF


def flip(vcpu: Vcpu, register: int, bits: int) -> None:
    """These bits of one register are others. Raises `KvmError`."""
    page, words = _page(vcpu)
    words[register // 4] ^= bits
    ioctls.set_lapic(vcpu, page)


def arm_timer(vcpu: Vcpu, *, periodic: bool) -> None:
    """The timer counts, and its interrupt is masked. Raises `KvmError`."""
    page, words = _page(vcpu)
    words[_SPURIOUS // 4] |= _ENABLED
    words[_TIMER // 4] = _MASKED | (_PERIODIC if periodic else 0)
    words[_TIMER_COUNT // 4] = _LONG
    ioctls.set_lapic(vcpu, page)


def _page(vcpu: Vcpu) -> tuple[Any, Any]:
    page = ioctls.get_lapic(vcpu)
    return page, ffi.cast("uint32_t *", page)


def interrupt_waits(guest: Guest) -> bool:
    """The guest's vector: in the local APIC, or on its way in, where a signal turned it back."""
    events = ioctls.get_events(guest.vcpu)
    if events.interrupt.injected and events.interrupt.nr == ioctls.INTERRUPT_VECTOR:
        return True
    vectors = state.vectors(ioctls.get_lapic(guest.vcpu), state.IRR)
    return ioctls.INTERRUPT_VECTOR in vectors
