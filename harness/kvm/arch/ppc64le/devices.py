# SPDX-License-Identifier: GPL-2.0-only
"""ppc64le: how the guest speaks: by stores to the MMIO window; and its hypercalls."""

from __future__ import annotations

from typing import Any, NoReturn

from guest_blobs import memory_map as at
from guest_blobs.ppc64le.memory_map import DONE_WORD, SYNC_WORD
from harness.kvm import answers
from harness.kvm.exits import Mmio, PaprHcall, VcpuExit
from harness.kvm.speech import Channel, Said, Speech, Word
from harness.kvm.vcpu import Vcpu

_WORDS = {
    (DONE_WORD, True): Word.DONE,
    (SYNC_WORD, True): Word.SYNC,
    (at.MMIO_BASE, False): Word.READ,
    (at.MMIO_BASE + 4, True): Word.WRITE,
}
SPEECH = Speech("mmio", "KVM_EXIT_MMIO", "mmio", "MMIO")

#: H_PUT_TERM_CHAR (PAPR): a console is userspace's, and KVM hands the call on.
CALL = 0x58


def said(found: VcpuExit | None) -> Said | None:
    """A load or a store of 32 bits in the MMIO window."""
    if not isinstance(found, Mmio) or (found.address, found.is_write) not in _WORDS:
        return None
    word = _WORDS[found.address, found.is_write]
    return Said(word, int.from_bytes(found.data, "little"))


def answer(vcpu: Vcpu, asked: VcpuExit, value: int) -> None:
    """A load."""
    if not isinstance(asked, Mmio):
        raise ValueError(f"{asked} is no load")
    answers.answer_mmio(vcpu, asked, value.to_bytes(asked.length, "little"))


def answer_hcall(vcpu: Vcpu, asked: PaprHcall, result: int, *values: int) -> None:
    """What a hypercall returns: r3, and from r4 on as many values as there are."""
    part = vcpu.run_page.papr_hcall
    part.ret = result
    for place, value in enumerate(values):
        part.args[place] = value


def _give(vcpu: Vcpu, asked: Any, value: int) -> None:
    """In r3 the value, in r4 the same with each bit the other way."""
    answer_hcall(vcpu, asked, value, value ^ (1 << 64) - 1)


def _nothing_written(told: Any) -> NoReturn:
    raise ValueError("a hypercall writes nothing")


_CALLS = Channel(
    "hypercall",
    first=0x12345611,
    is_read=lambda found: isinstance(found, PaprHcall) and found.number == CALL,
    is_write=lambda found: False,
    give=_give,
    written=_nothing_written,
    lacking="no_hypercall_exits",
    writes=False,
    destination=("r4",),
)
CHANNELS: tuple[Channel, ...] = (_CALLS,)
