# SPDX-License-Identifier: GPL-2.0-only
"""Processors for a race: two at a time, held by a lock, so that races do not disturb each other.

pytest-xdist runs tests side by side, and a race needs two processors that are not busy. Each
pair of processors is a slot with a lock file; whoever finds none free waits for one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness import file_lock
from harness.kick.plan import PlanError

PROCESSORS = Path("/sys/devices/system/cpu")
_NAME = "kvm-conformance"


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
def slot(say: Callable[[str], None] = lambda _text: None) -> Iterator[Slot]:
    """Holds a slot of this process's processors for the body. Waits if all are taken.

    A user's races exclude each other; those of two users do not, for either could then stop the
    other for ever. `say` gets a line when it takes long. Raises `PlanError` where no lock can be
    had, or nothing moved for `file_lock.LIMIT_S`.
    """
    slots = pairs(sorted(os.sched_getaffinity(0)))
    with ExitStack() as stack:
        locks = []
        for path in _files(slots):
            locks.append(_opened(path))
            stack.callback(os.close, locks[-1])  # which also unlocks
        yield slots[_first_free(locks, say)]


def _files(slots: list[Slot]) -> list[Path]:
    try:
        folder = file_lock.private_folder(_NAME)
    except OSError as error:
        raise PlanError(
            f"the locks of races cannot be in {error.filename}: {error.strerror}; remove it"
        ) from error
    return [folder / f"cpu{each.vcpu}.lock" for each in slots]


def _opened(path: Path) -> int:
    try:
        return file_lock.opened(path, 0o600)
    except OSError as error:
        raise PlanError(f"the lock {path} of races cannot be opened: {error.strerror}") from error


def _first_free(locks: list[int], say: Callable[[str], None]) -> int:
    """The index of the first one that is free, then taken; waits for one."""

    def attempt() -> int | None:
        return next((index for index, each in enumerate(locks) if file_lock.signed(each)), None)

    def word(who: str) -> None:
        say(f"waiting for two processors, which are held by {who}")

    try:
        return file_lock.wait(attempt, file_lock.Patience(locks, word).look)
    except file_lock.HeldTooLongError as who:
        raise PlanError(
            f"no two processors are free for a race: {who} held them for {file_lock.LIMIT_S:.0f} "
            "s; end that, or wait for it"
        ) from who
