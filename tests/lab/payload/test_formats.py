# SPDX-License-Identifier: GPL-2.0-only
"""lab.payload: a tree of files in each format, the same bytes from each builder, read by others."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from lab.emulation import programs
from lab.payload import payload
from lab.payload.formats import FORMATS, cpio
from lab.payload.nodes import TIME, Node, below, file, folder, link, whole
from tests.fakes import programs as fake_programs

NEEDS = {"cpio": (), "tar": (), "erofs": ("mkfs.erofs",), "ext4": ("mke2fs", "debugfs")}


def tree(place: Path, names: list[str], mode: int, time: int) -> dict[str, Node]:
    """The same contents, of folders that were made in another order, by another user, and when."""
    place.mkdir()
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(f"{name}\n" * 3000)
        (place / name).chmod(mode)
        os.utime(place / name, (time, time))
    (place / "a b.py").chmod(mode | 0o100)
    return {"dev": folder(), "bin": link("usr/bin"), **below(place, "usr/lib"), "init": file(b"#!")}


@pytest.mark.parametrize("name", FORMATS)
def test_equal_trees_give_equal_bytes(name: str, tmp_path: Path) -> None:
    fake_programs.need(*NEEDS[name])
    names = ["sub/z.py", "a b.py", "sub/deep/c.py", "empty.d/x"]
    first = tree(tmp_path / "first", names, 0o644, 1_000_000_000)
    second = tree(tmp_path / "second", names[::-1], 0o600, 1_600_000_000)
    made = [tmp_path / "1", tmp_path / "2"]
    for nodes, to in zip((first, dict(reversed(second.items()))), made, strict=True):
        FORMATS[name](nodes, to)
    assert made[0].read_bytes() == made[1].read_bytes()


def test_an_initial_file_system_is_one_to_cpio(tmp_path: Path) -> None:
    fake_programs.need("static:busybox")
    nodes = {"etc/word": file(b"x" * 5), "init": file(b"", executable=True), "l": link("etc/word")}
    cpio(nodes, tmp_path / "image")
    with (tmp_path / "image").open("rb") as image:
        words = ["busybox", "cpio", "-itv"]
        listed = subprocess.run(words, stdin=image, capture_output=True, text=True, check=True)
    found = [line.split() for line in listed.stdout.splitlines()]
    assert [line[:3] for line in found] == [
        ["drwxr-xr-x", "0/0", "0"],
        ["-rw-r--r--", "0/0", "5"],
        ["-rwxr-xr-x", "0/0", "0"],
        ["lrwxrwxrwx", "0/0", "0"],
    ]
    assert [line[-1] for line in found] == ["etc", "etc/word", "init", "etc/word"]
    assert (tmp_path / "image").stat().st_size % 512 == 0  # another may stand behind it


def test_a_tar_is_of_root_and_of_one_time(tmp_path: Path) -> None:
    nodes = {"usr/bin/python3": file(b"elf", executable=True), "bin": link("usr/bin")}
    FORMATS["tar"](nodes, tmp_path / "tar")
    with tarfile.open(tmp_path / "tar") as archive:
        members = {each.name: each for each in archive}
        assert list(members) == ["bin", "usr", "usr/bin", "usr/bin/python3"]
        assert {(each.uid, each.gid, each.mtime) for each in members.values()} == {(0, 0, TIME)}
        assert members["usr/bin/python3"].mode == 0o755
        assert members["bin"].linkname == "usr/bin"


def test_a_disk_has_the_files_and_room(tmp_path: Path) -> None:
    fake_programs.need("mke2fs", "debugfs")
    nodes = {"opt/a b": file(b"12345"), "init": file(b"#!", executable=True), "l": link("init")}
    FORMATS["ext4"](nodes, tmp_path / "disk")

    def asked(command: str) -> str:
        words = [str(shutil.which("debugfs", path=programs.places())), "-R", command]
        words.append(str(tmp_path / "disk"))
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    assert asked('cat "/opt/a b"') == "12345"
    assert "Mode:  0755" in asked("stat /init")
    assert 'Fast link dest: "init"' in asked("stat /l")
    free = int(asked("stats -h").split("Free blocks:")[1].split()[0])
    assert free * 4096 > 50 << 20


def test_folders_come_before_what_is_in_them() -> None:
    listed = list(whole({"a/b/c": file(b""), "a.b": file(b""), "a/b": folder()}))
    assert listed.index("a") < listed.index("a/b") < listed.index("a/b/c")
    assert stat.S_ISDIR(whole({"a/b": file(b"")})["a"].mode)


def test_a_copy_is_whole_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "payload").write_bytes(b"bytes")
    payload.copied(tmp_path / "payload", tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == b"bytes"
    with pytest.raises(OSError):
        payload.copied(tmp_path / "payload", tmp_path / "nowhere/out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "payload"]
