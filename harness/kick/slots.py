# SPDX-License-Identifier: GPL-2.0-only
"""Processors for a race: two at a time, held by a lock, so that races do not disturb each other.

pytest-xdist runs tests side by side, and a race needs two processors that are not busy. Each
pair of processors is a slot with a lock file; whoever finds none free waits for one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.kick.plan import PlanError
from harness.plain_text import line

PROCESSORS = Path("/sys/devices/system/cpu")
# Where each user has a folder of its own: as the session names it (XDG Base Directory
# Specification), or where systemd makes it. Without one it is made in the temporary folder.
SESSION = "XDG_RUNTIME_DIR"
RUNTIME = Path("/run/user")
TEMPORARY = Path("/tmp")
NAME = "kvm-conformance"
WORD_S = 5.0
#: So long the same races may hold all processors before whoever waits gives up.
LIMIT_S = 1800.0
_TICK_S = 0.05


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

    `say` gets a line when that takes long. Raises `PlanError` where no lock can be had, or nothing
    moved for `LIMIT_S`.
    """
    slots = pairs(sorted(os.sched_getaffinity(0)))
    folder = _folder()
    files = [_open(folder / f"cpu{each.vcpu}.lock") for each in slots]
    try:
        yield slots[_lock(files, say)]
    finally:
        for descriptor in files:
            os.close(descriptor)  # which also unlocks


def _folder() -> Path:
    """A folder of this user alone. Raises `PlanError`.

    A user's races exclude each other; those of two users do not, for either could then stop the
    other for ever.
    """
    user = os.geteuid()
    named = (Path(os.environ.get(SESSION, "")), RUNTIME / str(user))
    private = next((each for each in named if each.is_absolute() and _is_private(each)), None)
    folder = private / NAME if private else TEMPORARY / f"{NAME}-{user}"
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(0o700)
        if _is_private(folder):
            return folder
        why = "it is not a folder of this user alone"
    except OSError as error:
        why = str(error.strerror)
    raise PlanError(f"the locks of races cannot be in {folder}: {why}; remove it")


def _is_private(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    return own and not status.st_mode & 0o077


def _open(path: Path) -> int:
    # Never removed: that would race.
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(path, flags, 0o600)
    except OSError as error:
        raise PlanError(f"the lock {path} of races cannot be opened: {error.strerror}") from error


def _lock(files: list[int], say: Callable[[str], None]) -> int:
    since = time.monotonic()
    holders: list[str] = []
    told = False
    while True:
        for index, descriptor in enumerate(files):
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()} {time.monotonic_ns()}".encode(), 0)
                return index
        now = time.monotonic()
        found = [os.pread(descriptor, 64, 0).decode("ascii", "replace") for descriptor in files]
        if found != holders:  # others come and go: each has its turn
            holders, since, told = found, now, False
        who = ", ".join(_describe(each) for each in found)
        if now - since >= LIMIT_S:
            raise PlanError(
                f"no two processors are free for a race: {who} held them for {LIMIT_S:.0f} s; end "
                "that, or wait for it"
            )
        if now - since >= WORD_S and not told:
            told = True
            say(f"waiting for two processors, which are held by {who}")
        time.sleep(_TICK_S)


def _describe(holder: str) -> str:
    """The process that holds a lock."""
    process = holder.split(" ")[0]
    if not process.isdecimal():
        return "an unknown process"
    try:
        name = Path(f"/proc/{process}/comm").read_text(errors="replace")
    except OSError:
        return f"process {process}"
    return f"process {process} ({line(name)})"
