# SPDX-License-Identifier: GPL-2.0-only
"""A payload's files in the formats that kernels and labs take. Equal trees give equal bytes."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from lab.emulation import cache as caches
from lab.emulation.errors import KernelError
from lab.payload.nodes import TIME, Node, Nodes, whole

_ID = "6b766d63-6f6e-4f72-8d61-6e63652e696d"  # of the file system, and of its hashes
_BLOCK = 4096
# A file system that nobody writes to, but results: of what is in it, and bytes.
_SPARE, _FOR_RESULTS = 1.1, 64 << 20


def cpio(entries: Nodes, to: Path) -> None:
    """An initial file system, as Documentation/driver-api/early-userspace/buffer-format.rst has it.

    Several of them, one behind the other, are one again. Raises OSError.
    """
    with to.open("wb") as file:
        for number, (name, entry) in enumerate(whole(entries).items(), start=1):
            _cpio_entry(file, number, name, entry)
        _cpio_entry(file, 0, "TRAILER!!!", Node(0))
        file.write(b"\0" * (-file.tell() % 512))


def _cpio_entry(file: BinaryIO, number: int, name: str, entry: Node) -> None:
    data = entry.read()
    path = name.encode() + b"\0"
    fields = (
        number,
        entry.mode,
        0,
        0,
        1,
        TIME if number else 0,
        len(data),
        0,
        0,
        0,
        0,
        len(path),
        0,
    )
    file.write(b"070701" + b"".join(b"%08X" % field for field in fields) + path)
    file.write(b"\0" * (-file.tell() % 4) + data)
    file.write(b"\0" * (-file.tell() % 4))


def tar(entries: Nodes, to: Path) -> None:
    """For a root by NFS, for containers, and for tools that make a format of their own of it."""
    kinds = {stat.S_IFDIR: tarfile.DIRTYPE, stat.S_IFLNK: tarfile.SYMTYPE}
    with tarfile.open(to, "w", format=tarfile.GNU_FORMAT) as archive:
        for name, entry in whole(entries).items():
            member = tarfile.TarInfo(name)
            member.mode, member.mtime = stat.S_IMODE(entry.mode), TIME
            member.type = kinds.get(stat.S_IFMT(entry.mode), tarfile.REGTYPE)
            member.linkname = entry.target
            data = entry.read() if member.type == tarfile.REGTYPE else b""
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def erofs(entries: Nodes, to: Path) -> None:
    """A disk to read only. Raises KernelError where mkfs.erofs cannot make it."""
    with tempfile.TemporaryDirectory(prefix=".payload-", dir=to.parent) as work:
        _lay(entries, Path(work))
        words = ("mkfs.erofs", "--quiet", f"-T{TIME}", "--all-root", f"-U{_ID}", "-x-1")
        to.unlink(missing_ok=True)
        done = caches.run([*words, str(to), work])
        _made(done.stderr if done.returncode else "", to, "mkfs.erofs")


def ext4(entries: Nodes, to: Path) -> None:
    """A disk with room for results. Raises KernelError where it cannot be made.

    debugfs writes each file: `mke2fs -d` takes the order of this host's folders, and its times.
    """
    found = whole(entries)
    sizes = [len(entry.read()) for entry in found.values()]
    blocks = int(sum(size // _BLOCK + 2 for size in sizes) * _SPARE) + _FOR_RESULTS // _BLOCK
    to.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix=".payload-", dir=to.parent) as work:
        script = Path(work, "script")
        script.write_text("".join(f"{line}\n" for line in _commands(found, Path(work))))
        inodes = str(len(found) + 4096)
        words = ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-b", str(_BLOCK)]
        words += [
            "-U",
            _ID,
            "-E",
            f"hash_seed={_ID},root_owner=0:0,lazy_itable_init=0",
            "-N",
            inodes,
        ]
        clock = {"E2FSPROGS_FAKE_TIME": str(TIME)}
        done = caches.run([*words, to, str(blocks)], environment=clock)
        _made(done.stderr if done.returncode else "", to, "mke2fs")
        done = caches.run(["debugfs", "-w", "-f", script, to], environment=clock)
        told = [line for line in done.stderr.splitlines() if not line.startswith("debugfs ")]
        _made("\n".join(told), to, "debugfs")


def _commands(entries: Nodes, work: Path) -> Iterator[str]:
    """What debugfs is told to do (debugfs(8)); names with a quote mark it cannot take."""
    for number, (name, entry) in enumerate(entries.items()):
        kind = stat.S_IFMT(entry.mode)
        path = f'"/{name}"'
        if kind == stat.S_IFDIR:
            yield f"mkdir {path}"
        elif kind == stat.S_IFLNK:
            yield f'symlink {path} "{entry.target}"'
        else:
            source = entry.data
            if not isinstance(source, Path):
                source = work / str(number)
                source.write_bytes(entry.read())
            yield f'write "{source}" {path}'
        fields = {"mode": f"0{entry.mode:o}", "uid": "0", "gid": "0"}
        times = dict.fromkeys(("atime", "ctime", "mtime", "crtime"), f"@{TIME}")
        yield from (f"sif {path} {field} {value}" for field, value in {**fields, **times}.items())


def _lay(entries: Nodes, to: Path) -> None:
    """The files in a folder of this host."""
    for name, entry in whole(entries).items():
        path = to / name
        if stat.S_ISDIR(entry.mode):
            path.mkdir()
        elif stat.S_ISLNK(entry.mode):
            path.symlink_to(entry.target)
        else:
            if isinstance(entry.data, Path):
                shutil.copyfile(entry.data, path)
            else:
                path.write_bytes(entry.data)
            path.chmod(stat.S_IMODE(entry.mode))
        os.utime(path, (TIME, TIME), follow_symlinks=False)


def _made(complaints: str, to: Path, program: str) -> None:
    if complaints.strip():
        to.unlink(missing_ok=True)
        raise KernelError(f"{program} could not make {to}: {complaints.strip().splitlines()[-1]}")


FORMATS: Mapping[str, Callable[[Nodes, Path], None]] = {
    "cpio": cpio,
    "erofs": erofs,
    "ext4": ext4,
    "tar": tar,
}
