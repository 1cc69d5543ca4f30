# SPDX-License-Identifier: GPL-2.0-only
"""What a test may have left behind in this process: threads, children, descriptors, signals."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

_SELF = "/proc/self"
_OF_THE_C_LIBRARY = 1 << 32 - 1 | 1 << 33 - 1  # as the lines of status(5) count: bit 0 is signal 1


@dataclass(frozen=True)
class Belongings:
    """What the process has now.

    `descriptors` maps numbers to what is behind them, `threads` ids to names, `children` are
    process ids, `signals` the lines of status(5) about masks and handlers, `timers` POSIX timers
    (empty on kernels built without checkpoint and restore).
    """

    threads: dict[int, str]
    children: frozenset[int]
    descriptors: dict[int, str]
    signals: dict[str, str]
    timers: str

    def left_behind(self, before: Belongings) -> list[str]:
        """What is here now and was not before, one clause each."""
        found = [
            f"thread {tid} ({name})"
            for tid, name in self.threads.items()
            if tid not in before.threads
        ]
        found += [f"process {pid}" for pid in sorted(self.children - before.children)]
        found += [
            f"descriptor {fd} ({target})"
            for fd, target in self.descriptors.items()
            if before.descriptors.get(fd) != target
        ]
        found += [
            f"{name} {before.signals.get(name)} -> {value}"
            for name, value in self.signals.items()
            if before.signals.get(name) != value
        ]
        if self.timers != before.timers:
            found.append(f"POSIX timers:\n{self.timers}")
        return found


def left_behind_since(before: Belongings, patience_s: float = 2.0) -> list[str]:
    """What is still here and was not before. Waits for what is on its way out.

    A thread that was joined stays in /proc until the kernel has taken it apart, and CPython before
    3.13 says that a thread is over before its last instructions have run.
    """
    bound = time.monotonic() + patience_s
    found = take_stock().left_behind(before)
    while found and time.monotonic() < bound:
        time.sleep(0.001)
        found = take_stock().left_behind(before)
    return found


def take_stock() -> Belongings:
    """What this process has now.

    Twice for each test, and /proc is slow on an emulated host: plain system calls, no pathlib.
    """
    threads, children = _threads_and_children()
    return Belongings(threads, children, _descriptors(), _signals(), _timers())


def _read(name: str) -> str:
    """A file of /proc/self. Raises OSError."""
    fd = os.open(f"{_SELF}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(fd, 1 << 16):
            parts.append(part)
        return b"".join(parts).decode("utf-8", "replace")
    finally:
        os.close(fd)


def _threads_and_children() -> tuple[dict[int, str], frozenset[int]]:
    threads: dict[int, str] = {}
    children: set[int] = set()
    for tid in os.listdir(f"{_SELF}/task"):  # noqa: PTH208
        try:
            threads[int(tid)] = _read(f"task/{tid}/comm").strip()
            children.update(map(int, _read(f"task/{tid}/children").split()))
        except OSError:
            continue  # it ended meanwhile
    return threads, frozenset(children)


def _descriptors() -> dict[int, str]:
    found = {}
    for fd in os.listdir(f"{_SELF}/fd"):  # noqa: PTH208
        try:
            found[int(fd)] = os.readlink(f"{_SELF}/fd/{fd}")  # noqa: PTH115
        except OSError:
            continue  # the listing's own descriptor
    return found


def _signals() -> dict[str, str]:
    pairs = (line.split(":", 1) for line in _read("status").splitlines() if ":" in line)
    wanted = ("SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd")
    found = {name: value.strip() for name, value in pairs if name in wanted}
    if "SigCgt" in found:
        # The C library takes two signals for itself, with its first thread (nptl(7)).
        ours = int(found["SigCgt"], 16) & ~_OF_THE_C_LIBRARY
        found["SigCgt"] = f"{ours:016x}"
    return found


def _timers() -> str:
    try:
        return _read("timers")
    except OSError:
        return ""
