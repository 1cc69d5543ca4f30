# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: what KVM_RUN borrows of a thread: its extended state, segment bases and selectors.

Not looked at are the last x87 instruction and operand, which AMD's processors keep only for
exceptions, and AMX, which a process has to ask for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.kvm.calling_thread import Borrowed
from harness.native import lib

_SELECTORS = ("DS", "ES", "FS", "GS")
#: Name, place and bytes in the legacy part of an XSAVE area (Intel SDM volume 1, 13.4.1).
_LEGACY = (
    *(("the x87 control word", 0, 2), ("the x87 status word", 2, 2), ("the x87 tags", 4, 1)),
    ("MXCSR", 24, 4),
    *((f"st{number}", 32 + 16 * number, 10) for number in range(8)),
    *((f"xmm{number}", 160 + 16 * number, 16) for number in range(16)),
    ("XSTATE_BV", 512, 8),
)
#: Of what a component consists: a name for each register, its bytes, and the first one's number.
_REGISTERS = {
    2: ("the upper half of ymm{}", 16, 0),
    5: ("k{}", 8, 0),
    6: ("the upper half of zmm{}", 32, 0),
    7: ("zmm{}", 64, 16),
    9: ("PKRU", 8, 0),
}


def _registers(words: Any) -> Iterator[tuple[str, int]]:
    """The two bases, and the selectors, 16 bits each."""
    yield "the base of FS", int(words[0])
    yield "the base of GS", int(words[1])
    for number, name in enumerate(_SELECTORS):
        yield f"the selector of {name}", int(words[2]) >> 16 * number & 0xFFFF


def _extended(thread: Any) -> Iterator[tuple[str, int, int]]:
    yield from _LEGACY
    for component in range(2, lib.KE_COMPONENTS):
        if not thread.components >> component & 1:
            continue
        name, step, first = _REGISTERS[component]
        place, size = int(thread.place[component]), int(thread.size[component])
        for number in range(size // step):
            yield name.format(first + number), place + step * number, step


BORROWED = Borrowed(_registers, _extended, "RDTSCP")
