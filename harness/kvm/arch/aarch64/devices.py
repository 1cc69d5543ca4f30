# SPDX-License-Identifier: GPL-2.0-only
"""arm64: calls, by which a guest speaks besides MMIO."""

from __future__ import annotations

from harness.kvm import answers
from harness.kvm.arch.aarch64 import ioctls, state
from harness.kvm.exits import Hypercall
from harness.kvm.speech import Channel
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm

#: A fast call of 64 bits to an OEM's service (Arm DEN 0028, table 6-2): KVM has none of that kind.
CALL = 0xC300_0100


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
