# SPDX-License-Identifier: GPL-2.0-only
"""How a guest speaks by MMIO: a place of the window for each word."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from guest_blobs import memory_map as at
from harness.kvm import answers
from harness.kvm.exits import Mmio, VcpuExit
from harness.kvm.speech import Said, Speech, Word
from harness.kvm.vcpu import Vcpu

SPEECH = Speech("mmio", "KVM_EXIT_MMIO", "mmio", "MMIO")


#: By address, in a guest whose RAM is at 0, and whether it is a store.
_WORDS: Mapping[tuple[int, bool], Word] = {
    (at.DONE_WORD, True): Word.DONE,
    (at.SYNC_WORD, True): Word.SYNC,
    (at.MMIO_BASE, False): Word.READ,
    (at.MMIO_BASE + 4, True): Word.WRITE,
}


def said(found: VcpuExit | None) -> Said | None:
    """The word of a load or a store; None where it is none."""
    if not isinstance(found, Mmio) or (found.address, found.is_write) not in _WORDS:
        return None
    word = _WORDS[found.address, found.is_write]
    return Said(word, int.from_bytes(found.data, sys.byteorder))


def answer(vcpu: Vcpu, asked: VcpuExit, value: int) -> None:
    """Answers a load. ValueError for any other exit."""
    if not isinstance(asked, Mmio):
        raise ValueError(f"{asked} is no load")
    answers.answer_mmio(vcpu, asked, value.to_bytes(asked.length, sys.byteorder))
