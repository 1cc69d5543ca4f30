# SPDX-License-Identifier: GPL-2.0-only
"""The freezer of cgroup v2 (Documentation/admin-guide/cgroup-v2.rst, cgroup.freeze; Linux 5.2)."""

from __future__ import annotations

import os
import time
from pathlib import Path

from harness.closing import Closing

_LOOK_S = 0.001
_FLAGS = 6  # of the fields behind the name in /proc/PID/stat (proc(5), field 9)
_PF_KTHREAD = 0x00200000  # include/linux/sched.h


class NoFreezerError(Exception):
    """There is no cgroup v2, or this user may make none below its own."""


class Freezer(Closing):
    """A context manager: a cgroup below this process's, gone at its end: end what is in it before.

    Raises `NoFreezerError`.
    """

    def __init__(self) -> None:
        self._folder = _own_cgroup() / f"kvm-conformance-{os.getpid()}"
        try:
            self._folder.mkdir()
        except OSError as error:
            raise NoFreezerError(f"{self._folder}: {error.strerror}") from None
        if not (self._folder / "cgroup.freeze").exists():
            self.close()
            raise NoFreezerError(f"{self._folder} has no cgroup.freeze")

    def take(self, pid: int) -> None:
        """Moves a process into the cgroup. Raises `NoFreezerError`."""
        try:
            (self._folder / "cgroup.procs").write_text(str(pid))
        except OSError as error:
            raise NoFreezerError(f"a process cannot be moved: {error.strerror}") from None

    def freeze(self, patience_s: float) -> bool:
        """Freezes what is in it; whether all of it was frozen within the patience."""
        (self._folder / "cgroup.freeze").write_text("1")
        looks = int(patience_s / _LOOK_S)
        return any(self._frozen() for _ in range(looks))

    def _frozen(self) -> bool:
        found = "frozen 1" in (self._folder / "cgroup.events").read_text().splitlines()
        if not found:
            time.sleep(_LOOK_S)
        return found

    def kernel_threads(self) -> int:
        """Threads of the kernel in it. Such a one is never frozen, and so is no cgroup with one.

        KVM before Linux 6.13 puts one for each VM where the VM's maker is (commit d96c77bd4eeb).
        """
        try:
            pids = (self._folder / "cgroup.procs").read_text().split()
        except OSError as error:
            raise NoFreezerError(f"it cannot be read: {error.strerror}") from None
        return sum(_is_the_kernels(pid) for pid in pids)

    def thaw(self) -> None:
        """Lets it go on."""
        (self._folder / "cgroup.freeze").write_text("0")

    def close(self) -> None:
        """Removes the cgroup; a second call does nothing."""
        if self._folder.exists():
            self._folder.rmdir()


def _is_the_kernels(pid: str) -> bool:
    try:
        stat = (Path("/proc") / pid / "stat").read_text()
    except OSError:  # it has ended
        return False
    return bool(int(stat.rpartition(")")[2].split()[_FLAGS]) & _PF_KTHREAD)


def _own_cgroup() -> Path:
    """The folder of this process's cgroup of version 2. Raises `NoFreezerError`."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup2 "):
            mounted, root = Path(before.split()[4]), before.split()[3]
            break
    else:
        raise NoFreezerError("no file system of cgroup v2 is mounted")
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return mounted / os.path.relpath(line[3:], root)
    raise NoFreezerError("this process is in no cgroup of version 2")
