# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: the PIT in the kernel (api.rst, KVM_CREATE_PIT2, KVM_SET_PIT2)."""

from __future__ import annotations

from harness.kvm.vm import Vm
from harness.native import ffi

#: The interrupt line that channel 0 raises.
LINE = 0
_HZ = 1_193_182
_ON_TERMINAL_COUNT, _RATE_GENERATOR, _LOW_THEN_HIGH = 0, 2, 3  # modes, rw_mode


def tick(vm: Vm, nanoseconds: int, *, once: bool = False) -> None:
    """Channel 0 raises its line after so long, 55 ms at most: once, or again and again.

    Raises `KvmError`.
    """
    found = ffi.new("struct kvm_pit_state2 *")
    vm.ioctl("KVM_GET_PIT2", found)
    channel = found.channels[0]
    channel.mode = _ON_TERMINAL_COUNT if once else _RATE_GENERATOR
    channel.rw_mode, channel.gate = _LOW_THEN_HIGH, 1
    channel.count = min(nanoseconds * _HZ // 1_000_000_000, 0xFFFF)
    vm.ioctl("KVM_SET_PIT2", found)
