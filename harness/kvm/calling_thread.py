# SPDX-License-Identifier: GPL-2.0-only
"""What KVM_RUN borrows of the thread that calls it, and must give back.

KVM loads the guest's vector registers into the processor, and other registers that the kernel keeps
for a thread, in the place of the thread's own. native/calling_thread.c loads patterns before each
KVM_RUN and stores what the processor holds after it. So it does with a hardware breakpoint of the
thread, as a debugger sets one, where this process may have one. Which registers these are, an
architecture's `Borrowed` says.
"""

from __future__ import annotations

import errno
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from harness.host import pace
from harness.kvm import arch
from harness.kvm.vcpu import Vcpu
from harness.kvm.whole import clause
from harness.native import ffi, lib

_WORDS = {
    "mask": "the mask of blocked signals",
    "stack": "the alternate signal stack",
    "stack_size": "the size of the alternate signal stack",
    "stack_flags": "the flags of the alternate signal stack",
}
_TOUCHED = 2  # times: before KVM_RUN and behind it


@dataclass(frozen=True)
class Borrowed:
    """What an architecture's C keeps of a thread.

    `registers` splits the words that are kept one by one into names and values; `extended` has
    name, place and bytes of each part of the area. `processor` is what tells the processor's number
    to user mode, where anything does.
    """

    registers: Callable[[Any], Iterable[tuple[str, int]]]
    extended: Callable[[Any], Iterable[tuple[str, int, int]]]
    processor: str = ""


class NoExtendedStateError(OSError):
    """A processor or an architecture of which the C knows nothing that is borrowed."""


class ThreadLook:
    """What became of the threads that called KVM_RUN."""

    def __init__(self, thread: Any, borrowed: Borrowed) -> None:
        self._thread = thread
        self._borrowed = borrowed

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
        if not self._thread.differs:
            return []
        return list(_differences(self._thread, self._borrowed))


def _borrowed() -> Borrowed:
    """Of this machine's architecture: BORROWED of the module of this one's name in its package."""
    name = f"harness.kvm.arch.{arch.current().NAME}.calling_thread"
    if importlib.util.find_spec(name) is None:
        raise NoExtendedStateError(errno.ENOSYS, "what KVM_RUN borrows there is not known")
    found: Borrowed = importlib.import_module(name).BORROWED
    return found


@contextmanager
def looked_at(vcpu: Vcpu) -> Iterator[ThreadLook]:
    """Each KVM_RUN of the vCPU is looked at, on whatever thread. Raises `NoExtendedStateError`."""
    borrowed = _borrowed()
    thread = ffi.new("struct ke_calling_thread *")
    error = lib.ke_thread_prepare(thread)
    if error:
        raise NoExtendedStateError(-error, "a processor without a way to store extended state")
    # QEMU's software emulation may forget a breakpoint of the host's when a guest is entered: it is
    # then taken out as one of another kind, which the emulator does not survive.
    thread.watch = not pace.here().takes_turns
    vcpu.looked_at = thread
    try:
        yield ThreadLook(thread, borrowed)
    finally:
        vcpu.looked_at = None


def _differences(thread: Any, borrowed: Borrowed) -> Iterator[str]:
    pairs = zip(
        borrowed.registers(thread.before.registers),
        borrowed.registers(thread.after.registers),
        strict=True,
    )
    for (name, before), (_, after) in pairs:
        yield from _clause(name, before, after)
    for name, told in _WORDS.items():
        yield from _clause(told, getattr(thread.before, name), getattr(thread.after, name))
    for name, place, size in borrowed.extended(thread):
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
        yield f"{borrowed.processor} tells processor {thread.aux}, and it runs on {thread.aux_cpu}"


def _clause(name: str, before: int, after: int) -> Iterator[str]:
    if before != after:
        yield clause(name, int(before), int(after))
