# SPDX-License-Identifier: GPL-2.0-only
"""The one folder of this host that a machine can write, and how it is read.

The kernel under test is root in its machine, so it makes of that folder what it likes: links to any
file, fifos, files without end, and all of it at any moment. So the folder is fresh, of this user
alone, and holds nothing of this host's. Whoever reads there names a file from the open folder on,
follows no link, takes regular files only, and so much of them as was agreed. What shall be kept is
copied out into files that this host makes.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import files
from harness.closing import Closing

#: In the folder of a machine's results: what the machine is told, and below it what it can write.
CONTROL = ".machine"
WRITABLE = "share"
#: Bytes that are taken of one file.
LIMIT = 64 * files.MEGABYTE


class Share(Closing):
    """A folder that the kernel under test can write, held open. Use as a context manager.

    `path` is for the machine, which has the folder in the same place.
    """

    def __init__(self, path: Path, *, within: int | None = None) -> None:
        self.path = path
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(path if within is None else path.name, flags, dir_fd=within)

    @property
    def place(self) -> Path:
        """The folder of this host's that belongs to it: for the results, and for the console."""
        return self.path.parent.parent

    def close(self) -> None:
        """Closes the descriptor; a second call does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def size(self, name: str) -> int:
        """Bytes of a regular file; -1 where there is none."""
        with contextlib.suppress(OSError):
            status = os.stat(name, dir_fd=self._fd, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                return status.st_size
        return -1

    def free(self) -> int:
        """Bytes that are left on the disk where it lies."""
        found = os.fstatvfs(self._fd)
        return found.f_bavail * found.f_frsize

    def open(self, name: str) -> int:
        """A descriptor to read a regular file. Raises OSError."""
        return files.open_regular(name, folder=self._fd, follow=False)

    def read(self, name: str, limit: int = LIMIT) -> bytes:
        """All of a regular file. Raises OSError."""
        return files.read_regular(name, limit, folder=self._fd, follow=False)

    def text(self, name: str, limit: int = LIMIT) -> str:
        """The same as text; empty where there is no such file."""
        with contextlib.suppress(OSError):
            return self.read(name, limit).decode("utf-8", "replace")
        return ""

    def load(self, name: str, limit: int = files.MEGABYTE) -> Any:
        """A file of JSON; None where there is none, or one that is none."""
        with contextlib.suppress(OSError, ValueError, RecursionError):
            return json.loads(self.read(name, limit))
        return None

    def write(self, name: str, text: str | bytes) -> None:
        """Puts a file there, whole or not at all. Raises OSError."""
        fresh = f".{name}.new"
        descriptor = files.create(fresh, folder=self._fd)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode() if isinstance(text, str) else text)
        os.rename(fresh, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def folder(self, name: str) -> Share:
        """A folder in it, made where it is not there. Raises OSError where that is no folder."""
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, 0o755, dir_fd=self._fd)
        return Share(self.path / name, within=self._fd)

    def take(self, name: str, to: Path, limit: int = LIMIT) -> bool:
        """Copies a file out to `to`, of which an older one goes away; whether there was one.

        What is no regular file, or too long, is none. Raises OSError where `to` cannot be written.
        """
        try:
            data = self.read(name, limit)
        except OSError:
            return False
        with os.fdopen(files.create(to), "wb") as file:
            file.write(data)
        return True


class Mirror:
    """Copies a file of a share to a file of this host as it grows, each byte once.

    So what a machine has told it cannot take back, and it is here whatever becomes of this process.
    Raises OSError where the copy cannot be written.
    """

    def __init__(self, share: Share, name: str, to: Path, limit: int = LIMIT) -> None:
        self._share = share
        self._name = name
        self._path = to
        self._to = -1
        self._limit = limit
        self.size = 0

    def more(self) -> None:
        """Copies what is new."""
        if self._to >= 0:
            # A signal may have raised an exception between a write and its count.
            self.size = os.fstat(self._to).st_size
        if self._share.size(self._name) <= self.size:
            return
        try:
            source = self._share.open(self._name)
        except OSError:
            return
        try:
            while self.size < self._limit:
                room = min(files.MEGABYTE, self._limit - self.size)
                data = os.pread(source, room, self.size)
                if not data:
                    return
                if self._to < 0:
                    self._to = files.create(self._path, mode=0o644)
                self.size += os.write(self._to, data)
        finally:
            os.close(source)

    def close(self) -> None:
        """Copies the rest, and closes the copy."""
        try:
            self.more()
        finally:
            if self._to >= 0:
                os.close(self._to)
            self._to, self._limit = -1, 0


def make(place: Path) -> Share:
    """A fresh share below `place`, where nothing of an earlier one is left. Raises OSError."""
    control = place / CONTROL
    remove(place)
    control.mkdir(parents=True, mode=0o700)
    (control / WRITABLE).mkdir(mode=0o700)
    return Share(control / WRITABLE)


def at(place: Path) -> Share:
    """The share below `place`, which another process made. Raises OSError."""
    return Share(place / CONTROL / WRITABLE)


def remove(place: Path) -> None:
    """Removes the share below `place` and what stands beside it, however a machine left it.

    Raises OSError where something of it stays.
    """
    control = place / CONTROL
    # By rm: folders in folders a thousand deep are more than shutil.rmtree can do.
    words = ("rm", "-rf", "--one-file-system", "--", str(control))
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if done.returncode:
        raise OSError(errno.EACCES, "an earlier machine's folder cannot be removed", str(control))


@contextmanager
def fresh(place: Path) -> Iterator[Share]:
    """A fresh share, removed at the end. Raises OSError."""
    with make(place) as share:
        try:
            yield share
        finally:
            with contextlib.suppress(OSError):
                remove(place)
