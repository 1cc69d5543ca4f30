# SPDX-License-Identifier: GPL-2.0-only
"""Files that somebody else names or makes: read as far as a bound, and only regular ones.

A fifo would be waited for without end, /dev/zero has none, and to open some devices does something.
So a file is looked at before it is opened for reading, by a descriptor that can do nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

MEGABYTE = 1 << 20
#: The longest file that is taken whole where nothing else is said.
LIMIT = 64 * MEGABYTE
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a fifo"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_regular(path: Path | str, *, folder: int | None = None, follow: bool = True) -> int:
    """A descriptor to read a regular file. Raises OSError, with a reason for any other kind.

    `folder` is the descriptor of a folder from which `path` starts; without `follow` a symbolic
    link is no file.
    """
    flags = os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
    seen = os.open(path, flags, dir_fd=folder)
    try:
        mode = os.fstat(seen).st_mode
        if not stat.S_ISREG(mode):
            kind = next((word for test, word in _KINDS if test(mode)), "something else")
            raise OSError(errno.EINVAL, f"it is {kind}, not a regular file", str(path))
        # The very file that was looked at, whatever has its name by now.
        return os.open(f"/proc/self/fd/{seen}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise OSError(errno.EINVAL, "/proc is not mounted", str(path)) from error
    finally:
        os.close(seen)


def read_open(descriptor: int, name: str, limit: int = LIMIT) -> bytes:
    """All of an open file. Raises OSError where it holds more than `limit` bytes."""
    parts, left = [], limit + 1
    while left > 0 and (data := os.read(descriptor, min(left, MEGABYTE))):
        parts.append(data)
        left -= len(data)
    if left <= 0:
        raise OSError(errno.EFBIG, f"it is larger than {max(limit // MEGABYTE, 1)} MB", name)
    return b"".join(parts)


def read_regular(
    path: Path | str, limit: int = LIMIT, *, folder: int | None = None, follow: bool = True
) -> bytes:
    """All of a regular file of at most `limit` bytes; as `open_regular`. Raises OSError."""
    descriptor = open_regular(path, folder=folder, follow=follow)
    try:
        return read_open(descriptor, str(path), limit)
    finally:
        os.close(descriptor)


def create(path: Path | str, *, folder: int | None = None, mode: int = 0o666) -> int:
    """A new file to write and to read, in the place of any that has its name. Raises OSError.

    A link with that name is replaced, not followed.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(path, flags, mode, dir_fd=folder)
    except FileExistsError:
        os.unlink(path, dir_fd=folder)
        return os.open(path, flags, mode, dir_fd=folder)


def check_place(path: Path) -> None:
    """Raises OSError where `replacing` could not even begin, and leaves all as it was."""
    os.close(create(_beside(path)))
    _beside(path).unlink()


def _beside(path: Path) -> Path:
    if not path.name:  # "." and "/"
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return path.with_name(f".{path.name}-{os.getpid()}")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A new file beside `path`, which takes its place, whole, when the block has ended well.

    Of a block that raises nothing stays. Raises OSError.
    """
    fresh = _beside(path)
    os.close(create(fresh))
    try:
        yield fresh
        fresh.replace(path)
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)


def replace(path: Path, text: str) -> None:
    """Writes a text, whole or not at all. Raises OSError."""
    with replacing(path) as fresh:
        fresh.write_text(text, encoding="utf-8", errors="backslashreplace")


def write(path: Path, text: str) -> None:
    """A text in a file that `create` makes. Raises OSError."""
    with os.fdopen(create(path), "w", encoding="utf-8") as file:
        file.write(text)
