# SPDX-License-Identifier: GPL-2.0-only
"""ppc64le: how the guest speaks: by stores to the MMIO window; and its hypercalls."""

from __future__ import annotations

from typing import Any

from guest_blobs.ppc64le.memory_map import DONE_WORD, SYNC_WORD
from harness.kvm import mmio_speech
from harness.kvm.exits import PaprHcall, VcpuExit
from harness.kvm.speech import Channel, Said
from harness.kvm.vcpu import Vcpu

_WORDS = mmio_speech.words(done=DONE_WORD, sync=SYNC_WORD)

#: H_PUT_TERM_CHAR (PAPR): a console is userspace's, and KVM hands the call on.
CALL = 0x58


def said(found: VcpuExit | None) -> Said | None:
    """A load or a store of 32 bits in the MMIO window."""
    return mmio_speech.said(_WORDS, found)


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
