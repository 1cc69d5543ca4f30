# SPDX-License-Identifier: GPL-2.0-only
"""A lock on a file, which the kernel gives back when its holder ends, by whatever way.

Closing the descriptor unlocks, once all processes that inherited it have closed it too. The file is
never removed: that would race.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from harness.plain_text import line

# Where each user has a folder of its own: as the session names it (XDG Base Directory
# Specification), or where systemd makes it. Without one it is made in the temporary folder.
SESSION = "XDG_RUNTIME_DIR"
RUNTIME = Path("/run/user")
TEMPORARY = Path("/tmp")
#: So long somebody waits without a word, and so long before it gives up.
WORD_S = 5.0
LIMIT_S = 1800.0
_TICK_S = 0.05
Found = TypeVar("Found")


class HeldTooLongError(Exception):
    """Nothing moved for `LIMIT_S`; the text is who holds the locks."""


def opened(path: Path, mode: int) -> int:
    """A descriptor of the file, which is made where there is none; not locked. Raises OSError."""
    # It may stand in another user's folder: no link is followed, and no fifo waited for.
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    return os.open(path, flags, mode)


def taken(descriptor: int, *, shared: bool = False) -> bool:
    """Takes the lock; false where another holds it, of whom `shared` locks are no others."""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        return True
    return False


def signed(descriptor: int) -> bool:
    """As `taken`, alone; and those who find it held read by whom, and since when."""
    if not taken(descriptor):
        return False
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()} {time.monotonic_ns()}\n".encode("ascii"), 0)
    return True


def signature(descriptor: int) -> str:
    """What the holder wrote, if it has: its process, and when it took the lock."""
    return os.pread(descriptor, 64, 0).decode("ascii", "replace")


def process_of(signature: str) -> str:
    """The number of the process that signed; an empty text where none did."""
    process = signature.partition(" ")[0].strip()
    return process if process.isdecimal() else ""


def wait(attempt: Callable[[], Found | None], look: Callable[[], None]) -> Found:
    """What an attempt has found, the first that is not None; calls `look` after each other."""
    while (found := attempt()) is None:
        look()
        time.sleep(_TICK_S)
    return found


class Patience:
    """What whoever waits for one of several signed locks does meanwhile; `look` is for `wait`.

    `say` gets those who hold them, once after `WORD_S` in which nothing moved.
    """

    def __init__(self, locks: Sequence[int], say: Callable[[str], None]) -> None:
        self._locks = locks
        self._say = say
        self._seen: list[str] = []
        self._since = 0.0
        self._told = False

    def look(self) -> None:
        """Raises `HeldTooLongError`."""
        now = time.monotonic()
        found = [signature(each) for each in self._locks]
        if found != self._seen:  # others come and go: each has its turn
            self._seen, self._since, self._told = found, now, False
        who = ", ".join(map(_described, found))
        if now - self._since >= LIMIT_S:
            raise HeldTooLongError(who)
        if now - self._since >= WORD_S and not self._told:
            self._told = True
            self._say(who)


def _described(signature: str) -> str:
    """The process that holds a lock, for people."""
    process = process_of(signature)
    if not process:
        return "an unknown process"
    try:
        name = Path(f"/proc/{process}/comm").read_text(errors="replace")
    except OSError:
        return f"process {process}"
    return f"process {process} ({line(name)})"


def private_folder(name: str) -> Path:
    """A folder of this user alone, for locks that those of other users must not hold.

    Raises OSError, whose `filename` is the folder.
    """
    user = os.geteuid()
    named = (Path(os.environ.get(SESSION, "")), RUNTIME / str(user))
    private = next((each for each in named if each.is_absolute() and _is_private(each)), None)
    folder = private / name if private else TEMPORARY / f"{name}-{user}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(0o700)
    if not _is_private(folder):
        raise PermissionError(errno.EPERM, "it is not a folder of this user alone", str(folder))
    return folder


def _is_private(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    return own and not status.st_mode & 0o077
