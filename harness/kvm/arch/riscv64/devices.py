# SPDX-License-Identifier: GPL-2.0-only
"""riscv64: calls of the SBI, by which a guest speaks besides MMIO."""

from __future__ import annotations

from typing import Any

from harness.kvm.exits import RiscvSbi
from harness.kvm.speech import Channel
from harness.kvm.vcpu import Vcpu
from harness.native import lib

#: The SBI's experimental extensions: KVM has none of them, and forwards each call (Linux 5.17).
EXTENSION, FUNCTION = 0x08000000, 5


def answer_sbi(vcpu: Vcpu, asked: RiscvSbi, error: int, value: int = 0) -> None:
    """What a call of the SBI returns: a0 and a1."""
    part = lib.ke_riscv_sbi(vcpu.run_page)
    part.ret[0], part.ret[1] = error, value


def _give(vcpu: Vcpu, asked: Any, value: int) -> None:
    """In a0 the value, in a1 the same with each bit the other way."""
    answer_sbi(vcpu, asked, value, value ^ (1 << 64) - 1)


_CALLS = Channel(
    "hypercall",
    first=0x12345611,
    is_read=lambda found: isinstance(found, RiscvSbi) and found.extension == EXTENSION,
    is_write=lambda found: False,
    give=_give,
    lacking="no_hypercall_exits",
    writes=False,
    destination=("a1",),
)
CHANNELS: tuple[Channel, ...] = (_CALLS,)
