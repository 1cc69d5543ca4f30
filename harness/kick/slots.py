# SPDX-License-Identifier: GPL-2.0-only
"""Processors for a race: two at a time, held by a lock, so that races do not disturb each other.

pytest-xdist runs tests side by side, and a race needs two processors that are not busy. Each
pair of processors is a slot with a lock file; whoever finds none free waits for one.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.kick.plan import PlanError

PROCESSORS = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class Slot:
    """Two processors by number; the same one twice where the process may use only one."""

    vcpu: int
    kicker: int


def check_processors(slot: Slot, folder: Path = PROCESSORS) -> None:
    """Raises `PlanError` for a processor that does not exist or is offline."""
    present, online = ((folder / name).read_text().strip() for name in ("present", "online"))
    for cpu in (slot.vcpu, slot.kicker):
        if not _contains(present, cpu):
            raise PlanError(f"processor {cpu} does not exist; this host has {present}")
        if not _contains(online, cpu):
            raise PlanError(f"processor {cpu} is offline; online are {online}")


def _contains(ranges: str, cpu: int) -> bool:
    """Whether a list of the kernel's kind, such as 0,2-3, has this number."""
    for part in filter(None, ranges.split(",")):
        first, _, last = part.partition("-")
        if int(first) <= cpu <= int(last or first):
            return True
    return False


def pairs(cpus: list[int]) -> list[Slot]:
    """The slots of these processors: (0, 1), (2, 3), ...; an odd last one stays free."""
    if len(cpus) < 2:
        return [Slot(cpus[0], cpus[0])]
    return [Slot(cpus[index], cpus[index + 1]) for index in range(0, len(cpus) - 1, 2)]


@contextmanager
def slot() -> Iterator[Slot]:
    """Holds a slot of this process's processors for the body. Waits if all are taken."""
    slots = pairs(sorted(os.sched_getaffinity(0)))
    files = [_open(each) for each in slots]
    try:
        yield slots[_lock(files)]
    finally:
        for descriptor in files:
            os.close(descriptor)  # which also unlocks


def _open(each: Slot) -> int:
    # A file a user: another user's lock could not be opened. Never removed: that would race.
    name = f"kvm-conformance-{os.getuid()}-cpu{each.vcpu}.lock"
    path = Path(tempfile.gettempdir()) / name
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _lock(files: list[int]) -> int:
    for index, descriptor in enumerate(files):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return index
    index = os.getpid() % len(files)
    fcntl.flock(files[index], fcntl.LOCK_EX)
    return index
