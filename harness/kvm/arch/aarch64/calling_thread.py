# SPDX-License-Identifier: GPL-2.0-only
"""arm64: what KVM_RUN borrows of a thread: its vector registers and thread pointers.

What SVE has beyond the 128 bits of those every system call leaves undefined.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harness.kvm.calling_thread import Borrowed

_VECTORS, _VECTOR_BYTES = 32, 16
_BEHIND = _VECTORS * _VECTOR_BYTES


def _registers(words: Any) -> Iterator[tuple[str, int]]:
    yield "TPIDR_EL0", int(words[0])
    yield "TPIDRRO_EL0", int(words[1])


def _extended(_thread: Any) -> Iterator[tuple[str, int, int]]:
    for number in range(_VECTORS):
        yield f"v{number}", _VECTOR_BYTES * number, _VECTOR_BYTES
    yield "FPCR", _BEHIND, 8
    yield "FPSR", _BEHIND + 8, 8


BORROWED = Borrowed(_registers, _extended)
