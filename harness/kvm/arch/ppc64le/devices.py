# SPDX-License-Identifier: GPL-2.0-only
"""ppc64le: hypercalls, by which a guest speaks besides MMIO."""

from __future__ import annotations

from typing import Any

from harness.kvm.exits import PaprHcall
from harness.kvm.speech import Channel
from harness.kvm.vcpu import Vcpu

#: H_PUT_TERM_CHAR (PAPR): a console is userspace's, and KVM hands the call on.
CALL = 0x58


def answer_hcall(vcpu: Vcpu, asked: PaprHcall, result: int, *values: int) -> None:
    """What a hypercall returns: r3, and from r4 on as many values as there are."""
    part = vcpu.run_page.papr_hcall
    part.ret = result
    for place, value in enumerate(values):
        part.args[place] = value


def _give(vcpu: Vcpu, asked: Any, value: int) -> None:
    """In r3 the value, in r4 the same with each bit the other way."""
    answer_hcall(vcpu, asked, value, value ^ (1 << 64) - 1)


_CALLS = Channel(
    "hypercall",
    first=0x12345611,
    is_read=lambda found: isinstance(found, PaprHcall) and found.number == CALL,
    is_write=lambda found: False,
    give=_give,
    lacking="no_hypercall_exits",
    writes=False,
    destination=("r4",),
)
CHANNELS: tuple[Channel, ...] = (_CALLS,)
