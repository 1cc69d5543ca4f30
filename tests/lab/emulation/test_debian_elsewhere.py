# SPDX-License-Identifier: GPL-2.0-only
"""Debian's kernels of another architecture, out of an archive that is a fake."""

from __future__ import annotations

import platform
from pathlib import Path

import pytest

from lab.emulation import apt, arch, debian, kernel
from lab.emulation.errors import ChangedError, NotInArchiveError
from tests.fakes import archive as fake_archive
from tests.fakes.archive import Archive, Key
from tests.lab.emulation.test_elsewhere import header

NO_TOOLS = fake_archive.why_not()
pytestmark = pytest.mark.skipif(
    bool(NO_TOOLS) or platform.machine() != "x86_64", reason=NO_TOOLS or "x86-64 only"
)
ON = ("NET_9P", "NET_9P_VIRTIO", "9P_FS", "VIRTIO_PCI", "TMPFS", "VIRTIO_CONSOLE", "KVM")
CONFIG = "".join(f"CONFIG_{name}=y\n" for name in (*ON, "DEVTMPFS", "BLK_DEV_INITRD")).encode()
FOREIGN = arch.with_board("arm64")


@pytest.fixture
def archive(tmp_path: Path, key: Key, monkeypatch: pytest.MonkeyPatch) -> Archive:
    (tmp_path / "archive").mkdir()
    made = Archive(tmp_path / "archive", key, "arm64")
    monkeypatch.setattr(apt, "KEYRING", key.ring)
    monkeypatch.setattr(debian, "SEARCHED", ("old", "new"))
    monkeypatch.setenv(apt.MIRROR, made.uri)
    return made


def add(archive: Archive, suite: str, number: int, ending: str, *, newest: bool = True) -> Path:
    release, version = f"6.12.{number}+deb13-{ending}", f"6.12.{number}-1"
    files = {
        f"boot/vmlinuz-{release}": header("arm64", release),
        f"boot/config-{release}": CONFIG,
        f"usr/lib/modules/{release}/kernel/empty": b"",
    }
    made = archive.add(suite, f"linux-image-{release}", version, files)
    if newest:
        archive.add(suite, f"linux-image-{ending}", version, depends=f"linux-image-{release}")
    return made


def test_a_suite_has_kernels_of_each_size_of_pages(archive: Archive, tmp_path: Path) -> None:
    for ending in ("arm64", "arm64-16k", "rt-arm64"):
        add(archive, "new", 5, ending)
    archive.publish("new")

    def found(spec: str) -> str:
        return kernel.find(spec, tmp_path / "cache", foreign=FOREIGN).release

    assert found("debian:new") == found("debian:new/arm64") == "6.12.5+deb13-arm64"
    assert found("debian:new/16k") == "6.12.5+deb13-arm64-16k"
    assert found("debian:6.12/rt") == "6.12.5+deb13-rt-arm64"
    assert found("debian:6.12.5+deb13-arm64-16k") == "6.12.5+deb13-arm64-16k"
    with pytest.raises(NotInArchiveError, match="flavour 64k for arm64; it has 16k, generic, rt"):
        found("debian:new/64k")


def test_a_kernel_that_the_mirror_lost_makes_room_for_the_one_before(
    archive: Archive, tmp_path: Path
) -> None:
    add(archive, "new", 7, "arm64", newest=False)
    add(archive, "new", 8, "arm64", newest=False)
    add(archive, "new", 9, "arm64").unlink()
    archive.publish("new")
    said: list[str] = []
    found = kernel.find("debian:new", tmp_path / "cache", said.append, FOREIGN)
    assert found.release == "6.12.8+deb13-arm64"
    assert [line for line in said if "6.12.9+deb13-arm64 is not to be had; taking the next" in line]


def test_updates_that_are_not_as_signed_are_left_out(archive: Archive, tmp_path: Path) -> None:
    add(archive, "new", 7, "arm64")
    archive.publish("new")
    add(archive, "new-updates", 8, "arm64")
    archive.publish("new-updates")
    lists = next(archive.root.glob("dists/new-updates/main/binary-arm64/Packages*"))
    lists.write_bytes(lists.read_bytes() + b"\n")
    said: list[str] = []
    found = kernel.find("debian:new", tmp_path / "cache", said.append, FOREIGN)
    assert found.release == "6.12.7+deb13-arm64"
    assert [line for line in said if line.startswith("left out: new-updates (the lists of new-upd")]
    with pytest.raises(ChangedError, match="are not what the signed list says"):
        kernel.find("debian:new-updates", tmp_path / "cache", foreign=FOREIGN)
