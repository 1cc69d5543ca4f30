# SPDX-License-Identifier: GPL-2.0-only
"""Runs a command that sees a few paths of this host and no others.

QEMU gives the machine its own root to read, and the kernel under test asks it for what it likes. So
QEMU has a root in which nothing else is: a mount namespace with an empty root, in which these paths
are mounted in their places, and a process namespace, so that /proc tells of nobody else. A user
other than root needs a user namespace for it, which some hosts do not give.

    confine.py [--root DIR] FOLDER PATH... -- COMMAND...

FOLDER is an empty one, over which that root is mounted; the command begins in the root. With DIR
its entries are in the root as well, read-only: programs of another system, and only the paths are
of this host. Ends with 125 and a sentence where it cannot be. It imports nothing of the project:
the keeper starts it.
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
_READ_ONLY, _REMOUNT, _RELATIVE_TIMES = 0x1, 0x20, 0x200000
_DETACH = 2
_PR_SET_PDEATHSIG, _SIGKILL = 1, 9  # linux/prctl.h
_DEVICES = ("null", "zero", "full", "random", "urandom")
# Where the machine mounts file systems of its own.
_OWN = ("proc", "sys", "dev", "run", "tmp", "root", "home", "mnt")
_EMPTY = (*_OWN, "var/log", "var/tmp", "etc")
_LIBC = ctypes.CDLL(None, use_errno=True)


class _CannotError(Exception):
    """The text says what was refused."""


def main(
    folder: str, paths: Sequence[str], command: Sequence[str], system: Path | None = None
) -> int:
    """Runs the command; its exit code. `system` is DIR."""
    try:
        _unshare()
        # The parent stays behind: a process namespace begins with the first child.
        child = os.fork()
        if child == 0:
            _LIBC.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
            _enter(Path(folder), paths, system)
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


def _enter(root: Path, paths: Sequence[str], system: Path | None) -> None:
    """Makes the root of these paths, and goes there."""
    _mount("none", "/", "", _RECURSIVE | _PRIVATE)
    _mount("tmpfs", root, "tmpfs", _NO_SUID | _NO_DEVICES, "mode=755,size=4m")
    for name in _EMPTY:
        (root / name).mkdir(parents=True, exist_ok=True)
    seen = _Root(root)
    if system:
        seen.lay(system, Path("/"), [Path(path) for path in paths])
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
            self._bind(at, at)

    def lay(self, folder: Path, at: Path, beneath: Sequence[Path]) -> None:
        """What is in another system's `folder`, read-only, `at` its place in the root.

        Where one of the paths `beneath` comes to stand, only what is beside it.
        """
        for each in sorted(folder.iterdir()):
            place = at / each.name
            if place in beneath or str(place)[1:] in _OWN:
                continue
            if each.is_symlink():
                self._link(place, os.readlink(each))  # noqa: PTH115
            elif any(place in path.parents for path in beneath):
                self.lay(each, place, beneath)
            else:
                self._bind(each, place, _READ_ONLY)

    def _is_mounted(self, path: Path) -> bool:
        return any(each == path or each in path.parents for each in self._mounted)

    def _link(self, path: Path, target: str) -> None:
        copy = self._inside(path)
        if not self._is_mounted(path) and not copy.is_symlink():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(target)

    def _bind(self, path: Path, place: Path, access: int = 0) -> None:
        if self._is_mounted(place):
            return
        copy = self._inside(place)
        if stat.S_ISDIR(path.stat().st_mode):
            copy.mkdir(parents=True, exist_ok=True)
        else:
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.touch()
        _mount(path, copy, "", _BIND | _RECURSIVE)
        if access:
            _mount("none", copy, "", _BIND | _REMOUNT | access | _kept_flags(path))
        self._mounted.add(place)

    def _inside(self, path: Path) -> Path:
        return self._root / path.relative_to("/")


def _kept_flags(path: Path) -> int:
    """Those of the mount below: a user namespace may not take them back (mount_namespaces(7))."""
    flags = os.statvfs(path).f_flag
    same = os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC | os.ST_NOATIME | os.ST_NODIRATIME
    return flags & same | (_RELATIVE_TIMES if flags & os.ST_RELATIME else 0)


def _mount(source: object, target: object, kind: str, flags: int, data: str = "") -> None:
    words = (os.fsencode(str(source)), os.fsencode(str(target)), kind.encode() or None)
    _check(_LIBC.mount(*words, flags, data.encode() or None), f"to mount {target}")


def _check(result: int, what: str) -> None:
    if result:
        raise _CannotError(f"this host refuses {what}: {os.strerror(ctypes.get_errno())}")


if __name__ == "__main__":
    words = sys.argv[1:]
    other = Path(words[1]) if words[0] == "--root" else None
    words = words[2:] if other else words
    cut = words.index("--")
    sys.exit(main(words[0], words[1:cut], words[cut + 1 :], other))
