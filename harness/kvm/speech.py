# SPDX-License-Identifier: GPL-2.0-only
"""How a guest speaks: the words of its programs, after `ucall` of the kernel's selftests.

A program says a word by leaving KVM_RUN; which exit that is, the architecture knows.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.kvm.exits import VcpuExit
from harness.kvm.system import System
from harness.kvm.vcpu import Vcpu
from harness.kvm.vm import Vm


class Word(enum.Enum):
    """What a program can say."""

    DONE = "done"
    """Its last exit; the value is one of the DONE numbers of `guest_blobs.memory_map`."""
    SYNC = "sync"
    """It has come to a place that its source names."""
    READ = "read"
    """It waits for a value."""
    WRITE = "write"
    """It tells a value."""


@dataclass(frozen=True)
class Said:
    """A word, with what came with it; `value` is 0 for a read."""

    word: Word
    value: int = 0


@dataclass(frozen=True)
class Speech:
    """How an architecture's programs say the words.

    `program` reads and writes by turns; `exit_reason` is the exit of every word, `short` and
    `meaning` are its names in reports.
    """

    program: str
    exit_reason: str
    short: str
    meaning: str


def _nothing_written(told: Any) -> int:
    raise ValueError(f"{told} of a program that only reads is no write")


@dataclass(frozen=True)
class Channel:
    """One way in which a program reads and writes by turns: its exits, and their answers.

    `first` is the first value that a device gives. `give` puts a value where the kernel takes it
    from, `written` is the value of a write, if it `writes` at all, and `take` answers one. `leave`
    is for a `give` that does not write to kvm_run: it puts a value there, which the kernel must not
    take. `prepare` makes a VM show the exits, and gives the program's data words. `lacking` is the
    word (harness.host.features) for a host that is not `possible`. Where nothing `writes`, the
    program only reads. A read ends in `destination` besides the architecture's
    COMPLETION_REGISTERS, and the bits `beside` of its value are not in the accumulator.
    """

    program: str
    first: int
    is_read: Callable[[VcpuExit | None], bool]
    is_write: Callable[[VcpuExit | None], bool]
    give: Callable[[Vcpu, Any, int], None]
    written: Callable[[Any], int] = _nothing_written
    take: Callable[[Vcpu, Any], None] = lambda vcpu, told: None
    leave: Callable[[Vcpu, Any, int], None] | None = None
    prepare: Callable[[Vm], Mapping[int, int]] = lambda vm: {}
    possible: Callable[[System], bool] = lambda system: True
    lacking: str = ""
    writes: bool = True
    destination: tuple[str, ...] = ()
    beside: int = 0
