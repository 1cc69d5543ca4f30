# SPDX-License-Identifier: GPL-2.0-only
"""arm64: how the guest speaks: by stores and loads where no memory is, and by calls."""

from __future__ import annotations

import sys

from guest_blobs import memory_map as at
from guest_blobs.aarch64.memory_map import DONE_WORD, SYNC_WORD
from harness.kvm import answers
from harness.kvm.arch.aarch64 import ioctls, state
from harness.kvm.exits import Hypercall, Mmio, VcpuExit
from harness.kvm.speech import Channel, Said, Word
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm

RAM_BASE = 0
_LAST_WORDS = {RAM_BASE + DONE_WORD: Word.DONE, RAM_BASE + SYNC_WORD: Word.SYNC}
_WINDOW = range(RAM_BASE + at.MMIO_BASE, RAM_BASE + at.MMIO_END)

#: A fast call of 64 bits to an OEM's service (Arm DEN 0028, table 6-2): KVM has none of that kind.
CALL = 0xC300_0100


def said(found: VcpuExit | None) -> Said | None:
    """An access to the window; two of its places have a word of their own."""
    if not isinstance(found, Mmio) or found.address not in _WINDOW:
        return None
    if not found.is_write:
        return Said(Word.READ)
    value = int.from_bytes(found.data, sys.byteorder)
    return Said(_LAST_WORDS.get(found.address, Word.WRITE), value)


def _answer_call(vcpu: Vcpu, asked: Hypercall, value: int) -> None:
    """api.rst, KVM_EXIT_HYPERCALL: on arm64 the result is whatever userspace puts into x0."""
    state.set_accumulator(vcpu, value)


_CALLS = Channel(
    "hypercall",
    first=0x12345611,
    is_read=lambda found: isinstance(found, Hypercall) and found.number == CALL,
    is_write=lambda found: False,
    give=_answer_call,
    leave=answers.answer_hypercall,  # arm64 takes nothing from there
    lacking="no_hypercall_exits",
    writes=False,
)
CHANNELS: tuple[Channel, ...] = (_CALLS,)


def forward_call(vm: Vm) -> bool:
    """CALL leaves to userspace; False where this KVM cannot. Raises `KvmError`."""
    return ioctls.forward_calls(vm, CALL, 1)
