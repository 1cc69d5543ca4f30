# SPDX-License-Identifier: GPL-2.0-only
"""x86-64: what KVM_RUN borrows of the thread that calls it, and must give back.

KVM loads the guest's extended state into the processor, and its segment bases and selectors, in the
place of the thread's own. native/calling_thread.c loads patterns before each KVM_RUN and stores
what the processor holds after it. So it does with a hardware breakpoint of the thread, as a
debugger sets one, where this process may have one. Not looked at are the last x87 instruction and
operand, which AMD's processors keep only for exceptions, and AMX, which a process has to ask for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from harness.host import pace
from harness.kvm.vcpu import Vcpu
from harness.kvm.whole import clause
from harness.native import ffi, lib

_WORDS = {
    "fs_base": "the base of FS",
    "gs_base": "the base of GS",
    "mask": "the mask of blocked signals",
    "stack": "the alternate signal stack",
    "stack_size": "the size of the alternate signal stack",
    "stack_flags": "the flags of the alternate signal stack",
}
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


_TOUCHED = 2  # times: before KVM_RUN and behind it


class NoExtendedStateError(OSError):
    """A processor without XSAVE, or an architecture that the C does not know."""


class ThreadLook:
    """What became of the threads that called KVM_RUN."""

    def __init__(self, thread: Any) -> None:
        self._thread = thread

    @property
    def calls(self) -> int:
        """KVM_RUNs that were looked at; the last one is the first with a difference, if any has."""
        return int(self._thread.calls)

    @property
    def watched(self) -> bool:
        """Whether the thread of the last KVM_RUN had a hardware breakpoint, and it worked."""
        return bool(self._thread.watched)

    def differences(self) -> list[str]:
        """One clause for each thing that was not given back; empty: none."""
        return list(_differences(self._thread)) if self._thread.differs else []


@contextmanager
def looked_at(vcpu: Vcpu) -> Iterator[ThreadLook]:
    """Each KVM_RUN of the vCPU is looked at, on whatever thread. Raises `NoExtendedStateError`."""
    thread = ffi.new("struct ke_calling_thread *")
    error = lib.ke_thread_prepare(thread)
    if error:
        raise NoExtendedStateError(-error, os.strerror(-error))
    # QEMU's software emulation loads DR7 at VMRUN and forgets what it has inserted: a breakpoint
    # of the host is then taken out as one of another kind, which the emulator does not survive.
    thread.watch = not pace.here().takes_turns
    vcpu.looked_at = thread
    try:
        yield ThreadLook(thread)
    finally:
        vcpu.looked_at = None


def _differences(thread: Any) -> Iterator[str]:
    for name, told in _WORDS.items():
        yield from _clause(told, getattr(thread.before, name), getattr(thread.after, name))
    for number, name in enumerate(_SELECTORS):
        before, after = (
            words.selectors >> 16 * number & 0xFFFF for words in (thread.before, thread.after)
        )
        yield from _clause(f"the selector of {name}", before, after)
    for name, place, size in _registers(thread):
        before, after = (
            int.from_bytes(ffi.buffer(area + place, size)[:], "little")
            for area in (thread.extended_before, thread.extended_after)
        )
        yield from _clause(name, before, after)
    if thread.rseq and thread.rseq_cpu != thread.cpu:
        yield (
            f"cpu_id of its restartable sequence is {thread.rseq_cpu}, and it runs on "
            f"processor {thread.cpu}"
        )
    if thread.watched and thread.noticed != _TOUCHED:
        yield (
            "its hardware breakpoint was met before KVM_RUN and not behind it, by a write to what "
            "it watches"
        )
    if thread.aux not in (lib.KE_NO_AUX, thread.aux_cpu):
        yield f"RDTSCP tells processor {thread.aux}, and it runs on {thread.aux_cpu}"


def _registers(thread: Any) -> Iterator[tuple[str, int, int]]:
    yield from _LEGACY
    for component in range(2, lib.KE_COMPONENTS):
        if not thread.components >> component & 1:
            continue
        name, step, first = _REGISTERS[component]
        place, size = int(thread.place[component]), int(thread.size[component])
        for number in range(size // step):
            yield name.format(first + number), place + step * number, step


def _clause(name: str, before: int, after: int) -> Iterator[str]:
    if before != after:
        yield clause(name, int(before), int(after))
