# SPDX-License-Identifier: GPL-2.0-only
"""The kicks of a sweep: the files of inside.py, read again."""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from harness.native import ffi, lib
from harness.plain_text import line, plain
from harness.shapes import ShapeError, from_json

_T = TypeVar("_T")

_LINE = re.compile(r"^\s*\S.*-\d+\s+\[\d+\] \S+\s+(?P<time>\d+): (?P<event>\w+): (?P<rest>.*)$")
_COUNTER = re.compile(r"\bip=(0x[0-9a-f]+)")
_USER_BELOW = 1 << 63
LANDINGS = {
    lib.SW_BEFORE_CHECK: "before the check",
    lib.SW_IN_WINDOW: "in the window",
    lib.SW_IN_KVM_RUN: "in KVM_RUN",
    lib.SW_AFTER: "after it",
}


class SweepError(Exception):
    """The files of a sweep are not there, or are damaged."""


@dataclass(frozen=True)
class Kick:
    """One kick.

    position   the instruction that it was aimed at, counted from the round's beginning
    taken      when its interrupt was taken, in the same count; None if none came in the round
    counter    the interrupted program counter; None as above
    landing    what the signal's handler saw; of a masked signal only "in KVM_RUN" or "after it"
    entered    KVM_RUN was called: the check did not see the kick
    value      what it returned, or -errno
    progress   turns that the guest made in the round
    rescued    the kick was lost: nothing ended KVM_RUN until a second signal and the byte did
    """

    position: int
    taken: int | None
    counter: int | None
    landing: str
    entered: bool
    value: int
    exit_reason: int
    progress: int
    rescued: bool

    @property
    def in_kernel(self) -> bool:
        """Whether its interrupt met the kernel."""
        return self.counter is not None and self.counter >= _USER_BELOW

    @property
    def in_window(self) -> bool:
        """Whether it met user space between the check and the system call."""
        return self.entered and self.counter is not None and not self.in_kernel


class Symbols:
    """The kernel's symbols, from its /proc/kallsyms. Raises `SweepError` where there are none."""

    def __init__(self, path: Path) -> None:
        found = []
        for each in _text(path).splitlines():
            fields = each.split()
            known = len(fields) >= 3 and re.fullmatch("[0-9a-f]{1,16}", fields[0])
            if known and fields[1] in "tTwW":
                found.append((int(fields[0], 16), plain(fields[2])))
        if not found:
            raise SweepError(f"{path} names no function of the kernel")
        found.sort()
        self._addresses = [address for address, _ in found]
        self._names = [name for _, name in found]

    def name(self, counter: int) -> str:
        """Symbol and offset, as the kernel writes them."""
        function, offset = self.split(counter)
        return f"{function}+{offset:#x}"

    def split(self, counter: int) -> tuple[str, int]:
        """Symbol, offset."""
        if counter < _USER_BELOW:
            return "user space", 0
        index = bisect.bisect_right(self._addresses, counter) - 1
        return self._names[index], counter - self._addresses[index]


def read(folder: Path, stem: str, first: int) -> list[Kick]:
    """The kicks of one sweep, in the order of their positions. Raises `SweepError`."""
    try:
        raw = (folder / f"{stem}.rounds").read_bytes()
        trace = (folder / f"{stem}.trace").read_text(errors="replace")
    except OSError as error:
        raise SweepError(f"the sweep {stem} left no result: {error}") from error
    size = ffi.sizeof("struct sw_round")
    if not raw or len(raw) % size:
        raise SweepError(f"the sweep {stem} is damaged: {len(raw)} bytes of rounds")
    rounds = ffi.from_buffer("struct sw_round[]", raw)
    posted = list(_posted(trace))
    if not posted:
        raise SweepError(f"the trace of the sweep {stem} holds no kick")
    times = [time for time, _ in posted]
    found = []
    for index in range(len(raw) // size):
        each = rounds[index]
        if each.landing not in LANDINGS:
            raise SweepError(f"the sweep {stem} is damaged: it tells a landing {each.landing}")
        # Its kick is the last one before it ended; one of the round before came before its begin,
        # but for what an early aim makes earlier than the beginning.
        last = bisect.bisect_right(times, each.returned) - 1
        taken, counter = posted[last] if last >= 0 else (0, 0)
        mine = last >= 0 and taken > each.began + min(first, 0) - _EARLY
        found.append(
            Kick(
                position=first + index,
                taken=taken - each.began if mine else None,
                counter=counter if mine else None,
                landing=LANDINGS[each.landing],
                entered=bool(each.entered),
                value=each.value,
                exit_reason=each.exit_reason,
                progress=each.progress,
                rescued=bool(each.rescued),
            )
        )
    return found


_EARLY = 2000  # instructions: far less than from one round to the next


def load_nops(path: Path) -> list[int]:
    """The file of a calibration. Raises `SweepError`."""
    return _load(path, list[int])


def load_cost(path: Path) -> dict[str, float]:
    """The file of instructions by case. Raises `SweepError`."""
    return {line(name): value for name, value in _load(path, dict[str, float]).items()}


def _load(path: Path, shape: type[_T]) -> _T:
    try:
        return from_json(_text(path), shape)
    except ShapeError as error:
        raise SweepError(f"{path} is damaged: {error}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        raise SweepError(f"the sweep left no {path.name}: {error.strerror}") from error


def _posted(trace: str) -> Iterator[tuple[int, int]]:
    """Time and interrupted program counter of each interrupt that posted the signal."""
    before: tuple[int, int] | None = None
    for each in trace.splitlines():
        match = _LINE.match(each)
        if match is None:
            continue
        if match["event"] == "interrupt":
            counter = _COUNTER.search(match["rest"])
            if counter is not None:
                before = int(match["time"]), int(counter[1], 16)
        elif match["event"] == "signal_generate" and before is not None:
            yield before
            before = None


def calibration(nops: Sequence[int]) -> dict[str, int]:
    """How many steps between two aims were of no, of one and of several instructions."""
    steps = [
        later - earlier
        for earlier, later in itertools.pairwise(nops)
        if earlier >= 0 and later >= 0
    ]
    one = sum(step == 1 for step in steps)
    none = sum(step == 0 for step in steps)
    return {"zero": none, "one": one, "other": len(steps) - one - none, "missed": nops.count(-1)}
