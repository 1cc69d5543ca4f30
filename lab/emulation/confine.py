# SPDX-License-Identifier: GPL-2.0-only
"""Runs a command that sees a few paths of this host and no others.

QEMU gives the machine its own root to read, and the kernel under test asks it for what it likes. So
QEMU has a root in which nothing else is: a mount namespace with an empty root, in which these paths
are mounted in their places, and a process namespace, so that /proc tells of nobody else. A user
other than root needs a user namespace for it, which some hosts do not give.

    confine.py FOLDER PATH... -- COMMAND...

FOLDER is an empty one, over which that root is mounted; the command begins in the root. Ends with
125 and a sentence where it cannot be. It imports nothing of the project: the keeper starts it.
"""

from __future__ import annotations

import ctypes
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path

CANNOT = 125
# linux/sched.h
_NEW_MOUNTS, _NEW_USERS, _NEW_PROCESSES = 0x00020000, 0x10000000, 0x20000000
# linux/mount.h
_BIND, _RECURSIVE, _PRIVATE, _NO_SUID, _NO_DEVICES = 0x1000, 0x4000, 0x40000, 0x2, 0x4
_DETACH = 2
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9  # linux/prctl.h
_DEVICES = ("null", "zero", "full", "random", "urandom")
# Where the machine mounts file systems of its own.
_EMPTY = ("proc", "sys", "dev", "run", "tmp", "root", "home", "mnt", "var/log", "var/tmp", "etc")
_LIBC = ctypes.CDLL(None, use_errno=True)


class _CannotError(Exception):
    """The text says what was refused."""


def main(folder: str, paths: Sequence[str], command: Sequence[str]) -> int:
    """Runs the command; its exit code."""
    try:
        _unshare()
        # The parent stays behind: a process namespace begins with the first child.
        child = os.fork()
        if child == 0:
            _LIBC.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
            _enter(Path(folder), paths)
            os.execvp(command[0], list(command))
    except (_CannotError, OSError) as error:
        print(f"confine: {error}", file=sys.stderr)
        return CANNOT
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else 128 - code


def _unshare() -> None:
    """Namespaces of its own: by root's rights, or by those of a user namespace."""
    if not _LIBC.unshare(_NEW_MOUNTS | _NEW_PROCESSES):
        return
    user, group = os.geteuid(), os.getegid()
    _check(_LIBC.unshare(_NEW_USERS | _NEW_MOUNTS | _NEW_PROCESSES), "namespaces")
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _enter(root: Path, paths: Sequence[str]) -> None:
    """Makes the root of these paths, and goes there."""
    _mount("none", "/", "", _RECURSIVE | _PRIVATE)
    _mount("tmpfs", root, "tmpfs", _NO_SUID | _NO_DEVICES, "mode=755,size=4m")
    for name in _EMPTY:
        (root / name).mkdir(parents=True, exist_ok=True)
    seen = _Root(root)
    for path in paths:
        seen.add(path)
    for name in _DEVICES:
        seen.add(f"/dev/{name}")
    (root / "dev/fd").symlink_to("/proc/self/fd")
    _mount("proc", root / "proc", "proc", _NO_SUID | _NO_DEVICES)
    old = root / "mnt"
    _check(_LIBC.pivot_root(os.fsencode(root), os.fsencode(old)), "a new root")
    os.chdir("/")
    _check(_LIBC.umount2(b"/mnt", _DETACH), "to leave the old root")


class _Root:
    """A root that is being filled."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._mounted: set[Path] = set()

    def add(self, path: str) -> None:
        """A path with all that is below it, by each name that leads there; nothing if it is not."""
        left = list(Path(path).parts[1:])
        at = Path("/")
        links = 0
        while left:
            at = Path(os.path.normpath(at / left.pop(0)))
            if at.is_symlink():
                links += 1
                if links > 40:
                    return
                target = os.readlink(at)  # noqa: PTH115
                self._link(at, target)
                left = [*[part for part in Path(target).parts if part != "/"], *left]
                at = Path("/") if target.startswith("/") else at.parent
        if at.exists() and at != Path("/"):
            self._bind(at)

    def _is_mounted(self, path: Path) -> bool:
        return any(each == path or each in path.parents for each in self._mounted)

    def _link(self, path: Path, target: str) -> None:
        copy = self._inside(path)
        if not self._is_mounted(path) and not copy.is_symlink():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(target)

    def _bind(self, path: Path) -> None:
        if self._is_mounted(path):
            return
        copy = self._inside(path)
        if stat.S_ISDIR(path.stat().st_mode):
            copy.mkdir(parents=True, exist_ok=True)
        else:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.touch()
        _mount(path, copy, "", _BIND | _RECURSIVE)
        self._mounted.add(path)

    def _inside(self, path: Path) -> Path:
        return self._root / path.relative_to("/")


def _mount(source: object, target: object, kind: str, flags: int, data: str = "") -> None:
    words = (os.fsencode(str(source)), os.fsencode(str(target)), kind.encode() or None)
    _check(_LIBC.mount(*words, flags, data.encode() or None), f"to mount {target}")


def _check(result: int, what: str) -> None:
    if result:
        raise _CannotError(f"this host refuses {what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    cut = sys.argv.index("--")
    sys.exit(main(sys.argv[1], sys.argv[2:cut], sys.argv[cut + 1 :]))
