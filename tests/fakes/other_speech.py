# SPDX-License-Identifier: GPL-2.0-only
"""A plugin for pytest: this machine's programs read and write by MMIO, and have no port for it.

As on a processor without ports, as far as x86's programs can play it: their last exit stays what it
is, and so does its number.
"""

from __future__ import annotations

import sys
from dataclasses import replace

from harness.kvm import answers, exits
from harness.kvm.arch import x86_64
from harness.kvm.speech import Said, Word
from harness.kvm.vcpu import Vcpu

_by_ports = x86_64.said


def _said(found: exits.VcpuExit | None) -> Said | None:
    if isinstance(found, exits.Mmio):
        word = Word.WRITE if found.is_write else Word.READ
        return Said(word, int.from_bytes(found.data, sys.byteorder))
    told = _by_ports(found)
    return told if told and told.word in (Word.DONE, Word.SYNC) else None


def _answer(vcpu: Vcpu, asked: exits.Mmio, value: int) -> None:
    answers.answer_mmio(vcpu, asked, value.to_bytes(asked.length, sys.byteorder))


x86_64.said, x86_64.answer = _said, _answer
x86_64.SPEECH = replace(x86_64.SPEECH, program="mmio")
x86_64.CHANNELS = ()
x86_64.IRQCHIPS = ("none", "full")
