# SPDX-License-Identifier: GPL-2.0-only
"""A file system as a mapping: what is in it, by its path without the first slash.

Owners and times are not in it: all is root's, and of one time. So two trees with the same contents
give the same bytes, whoever made them and when.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

#: The time of every file, in seconds since 1970: no clock of a machine is that slow.
TIME = 1_700_000_000


@dataclass(frozen=True)
class Node:
    """A folder, a link, or a file, by the type in `mode`; `data` of a file may be one of here."""

    mode: int
    data: bytes | Path = b""
    target: str = ""

    def read(self) -> bytes:
        """What stands in the archive behind its name. Raises OSError."""
        if stat.S_ISLNK(self.mode):
            return self.target.encode()
        return self.data.read_bytes() if isinstance(self.data, Path) else self.data


Nodes = Mapping[str, Node]


def folder() -> Node:
    """An empty folder."""
    return Node(stat.S_IFDIR | 0o755)


def file(data: bytes | Path, *, executable: bool = False) -> Node:
    """A file that all may read."""
    return Node(stat.S_IFREG | (0o755 if executable else 0o644), data)


def link(target: str) -> Node:
    """A symbolic link."""
    return Node(stat.S_IFLNK | 0o777, target=target)


def below(
    place: Path, at: str = "", keep: Callable[[str], bool] = lambda _: True
) -> dict[str, Node]:
    """What is in a folder of this host, to stand at `at`; `keep` is asked for each path in it.

    What is neither file, folder nor link is left out.
    """
    found: dict[str, Node] = {}
    for path in _walk(place):
        name = path.relative_to(place).as_posix()
        status = path.lstat()
        if not keep(name):
            continue
        where = f"{at}/{name}" if at else name
        if stat.S_ISLNK(status.st_mode):
            found[where] = link(os.readlink(path))  # noqa: PTH115 - as it is written
        elif stat.S_ISDIR(status.st_mode):
            found[where] = folder()
        elif stat.S_ISREG(status.st_mode):
            found[where] = file(path, executable=bool(status.st_mode & 0o100))
    return found


def _walk(place: Path) -> Iterator[Path]:
    for at, folders, names in os.walk(place):
        yield from (Path(at, name) for name in (*folders, *names))


def whole(entries: Nodes) -> dict[str, Node]:
    """The same with the folders above each entry, sorted: so a folder comes before its entries."""
    found = dict(entries)
    for name in entries:
        parts = name.split("/")[:-1]
        for length in range(1, len(parts) + 1):
            found.setdefault("/".join(parts[:length]), folder())
    return dict(sorted(found.items()))
