# SPDX-License-Identifier: GPL-2.0-only
"""Kernels of Debian, out of an archive that is a fake, and the cache in which they stand."""

from __future__ import annotations

import fcntl
import os
import platform
import random
import re
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from harness import signs
from lab.emulation import apt, cache, debian, kernel, throughput
from lab.emulation.errors import KernelError, NotInArchiveError, OfflineError
from tests.fakes import archive as fake_archive
from tests.fakes.archive import CONFIG, Archive, Key, vmlinuz

NO_TOOLS = fake_archive.why_not()
ARCHIVE = pytest.mark.skipif(
    bool(NO_TOOLS) or platform.machine() != "x86_64", reason=NO_TOOLS or "x86-64 only"
)
RELEASE = "6.1.0-44-amd64"


# -------------------------------------------------------------------------------------------------
# Versions


def test_versions_sort_as_debian_sorts_them() -> None:
    ordered = [
        *("5.10.223-1", "6.1.170-3", "6.1.192-2~deb11u1", "6.1.192-2", "6.12.9-1"),
        *("6.12.107-1~bpo12+1", "6.12.107-1", "7.3~rc5-1~exp1", "7.3.4-1~bpo13+1", "7.3.4-1"),
    ]
    shuffled = random.Random(4).sample(ordered, len(ordered))
    assert sorted(shuffled, key=debian.version_key) == ordered


@pytest.mark.skipif(bool(NO_TOOLS), reason=NO_TOOLS)
def test_flavour_of_a_word() -> None:
    arch = apt.architecture()
    assert debian.parse("debian:trixie").flavour == "generic"
    assert debian.parse(f"debian:trixie/{arch}").flavour == "generic"
    assert debian.parse("debian:6.12/rt").flavour == "rt"
    assert debian.parse(f"debian:6.1.0-44-rt-{arch}").flavour == "rt"
    assert debian.parse(f"debian:6.1.0-0.deb11.50-{arch}").flavour == "generic"


# -------------------------------------------------------------------------------------------------
# The archive


@pytest.fixture
def archive(tmp_path: Path, key: Key, monkeypatch: pytest.MonkeyPatch) -> Archive:
    root = tmp_path / "archive"
    root.mkdir()
    made = Archive(root, key, apt.architecture())
    monkeypatch.setattr(apt, "KEYRING", key.ring)
    monkeypatch.setattr(debian, "SEARCHED", ("old", "new"))
    monkeypatch.setenv(apt.MIRROR, made.uri)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    return made


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def whole(home: Path) -> list[str]:
    """What stands among the kernels of a cache, but for the locks."""
    return sorted(p.name for p in (home / "debian/kernels").glob("*") if p.suffix != ".lock")


@ARCHIVE
def test_suite_gives_its_own_kernel(archive: Archive, home: Path) -> None:
    archive.add_kernel("old", RELEASE, "6.1.9-1")
    archive.add_kernel("old", "6.1.0-45-amd64", "6.1.10-1")
    archive.add_kernel("old", "6.1.0-45-rt-amd64", "6.1.10-1", "rt-")
    archive.publish("old")
    found = kernel.find("debian:old", home)
    assert found.release == "6.1.0-45-amd64"
    assert found.name == "debian-old 6.1.0-45-amd64"
    assert found.modules == home / "debian/kernels/6.1.0-45-amd64_6.1.10-1"
    assert (found.modules / "lib/modules" / found.release / "modules.dep").is_file()
    assert kernel.find("debian:old/rt", home).release == "6.1.0-45-rt-amd64"
    assert len(whole(home)) == 2
    assert list((home / "debian/downloads").iterdir()) == []
    with pytest.raises(NotInArchiveError, match=r"flavour cloud .* it has generic, rt"):
        kernel.find("debian:old/cloud", home)


@ARCHIVE
def test_fetching_tells_how_much_is_there(
    archive: Archive, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signs, "EVERY_S", 0.0)
    monkeypatch.setattr(signs, "_TICK_S", 0.01)
    monkeypatch.setattr(apt, "megabytes", lambda size: f"{size} B")
    archive.add_kernel("old", RELEASE, "6.1.9-1")
    archive.publish("old")
    said: list[str] = []
    kernel.find("debian:old", home, say=said.append)
    told = "\n".join(said)
    assert re.search(r"^\.\.\. \d+ s: fetching the lists of old$", told, re.M)
    shares = re.findall(r"^\.\.\. \d+ s: fetching, (\d+) B of (\d+) B are here$", told, re.M)
    assert shares
    assert all(int(here) <= int(size) for here, size in shares)
    assert len({size for _, size in shares}) == 1


@ARCHIVE
def test_security_and_updates_count(archive: Archive, home: Path, monkeypatch: Any) -> None:
    archive.add_kernel("old", RELEASE, "6.1.9-1")
    archive.publish("old")
    archive.add_kernel("old-updates", "6.1.0-45-amd64", "6.1.10-1")
    archive.publish("old-updates")
    assert kernel.find("debian:old", home).release == "6.1.0-45-amd64"


@ARCHIVE
def test_version_is_looked_for_in_every_suite(archive: Archive, home: Path) -> None:
    archive.add_kernel("old", RELEASE, "6.1.9-1")
    archive.add_kernel("old", "6.1.0-45-amd64", "6.1.10-1")
    archive.add_kernel("new", "6.12.5+deb13-amd64", "6.12.5-1")
    archive.add_kernel("new", "6.12.5+deb13-rt-amd64", "6.12.5-1", "rt-")
    archive.publish("old")
    archive.publish("new")
    assert kernel.find("debian:6.1", home).release == "6.1.0-45-amd64"
    assert kernel.find("debian:6.1.9", home).release == RELEASE
    assert kernel.find(f"debian:{RELEASE}", home).release == RELEASE
    assert kernel.find("debian:6.12/rt", home).release == "6.12.5+deb13-rt-amd64"
    with pytest.raises(NotInArchiveError, match=r"nearest are 6.1.9-1, 6.1.10-1, 6.12.5-1$"):
        kernel.find("debian:6.2", home)


@ARCHIVE
def test_kernel_that_is_split_into_packages(archive: Archive, home: Path) -> None:
    release, version = "7.3.4+deb14-amd64", "7.3.4-1"
    exact = f"(= {version})"
    modules = f"usr/lib/modules/{release}"
    archive.add(
        "new", f"linux-image-{archive.arch}", version, depends=f"linux-image-{release} {exact}"
    )
    archive.add(
        "new",
        f"linux-image-{release}",
        version,
        depends=f"kmod, linux-base-{release} {exact}, linux-binary-{release} {exact} | "
        f"linux-binary-unsigned-{release} {exact}, linux-modules-{release} {exact}",
    )
    archive.add("new", f"linux-base-{release}", version, {f"{modules}/config": CONFIG.encode()})
    archive.add("new", f"linux-binary-{release}", version, {f"{modules}/vmlinuz": vmlinuz(release)})
    archive.add("new", f"linux-modules-{release}", version, {f"{modules}/kernel/empty": b""})
    archive.publish("new")
    found = kernel.find("debian:new", home)
    assert found.image.name == f"vmlinuz-{release}"
    assert found.image.parent.name == "boot"
    assert found.modules
    assert (found.modules / "lib/modules" / release / "modules.dep").is_file()
    assert found.config


@ARCHIVE
def test_lists_that_are_older_than_the_kernel(archive: Archive, home: Path) -> None:
    archive.add_kernel("new", RELEASE, "6.1.9-1")
    archive.publish("new")
    kernel.find("debian:6.1", home)
    archive.add_kernel("new", "6.2.0-1-amd64", "6.2.1-1")
    archive.publish("new")
    assert kernel.find("debian:new", home).release == RELEASE, "the lists are not a day old"
    assert kernel.find("debian:6.2", home).release == "6.2.0-1-amd64"


@ARCHIVE
def test_day_old_lists_are_fetched_again_or_serve(
    archive: Archive, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.add_kernel("new", RELEASE, "6.1.9-1")
    archive.publish("new")
    with fake_archive.served(archive.root, cut=1 << 30) as (uri, _):
        monkeypatch.setenv(apt.MIRROR, uri)
        kernel.find("debian:new", home)
        archive.add_kernel("new", "6.1.0-45-amd64", "6.1.10-1")
        archive.publish("new")
        for path in (home / "debian/suites").glob("*/packages-2"):
            os.utime(path, times=(time.time() - apt.STALE_S - 1,) * 2)
        assert kernel.find("debian:new", home).release == "6.1.0-45-amd64"
        for path in (home / "debian/suites").glob("*/packages-2"):
            os.utime(path, times=(time.time() - apt.STALE_S - 1,) * 2)
    said: list[str] = []
    assert kernel.find("debian:new", home, said.append).release == "6.1.0-45-amd64"
    assert any("does not answer" in line and "going on with the lists" in line for line in said)
    shutil.rmtree(home)
    with pytest.raises(OfflineError, match="does not answer"):
        kernel.find("debian:new", home)
    assert whole(home) == []


@ARCHIVE
def test_suite_that_is_not_there(archive: Archive, home: Path) -> None:
    with pytest.raises(NotInArchiveError, match=r"has no suite sarge.*archive\.debian\.org"):
        kernel.find("debian:sarge", home)
    assert [p for p in (home / "debian/suites").iterdir() if p.suffix != ".lock"] == []


@ARCHIVE
def test_signature_of_another_key(
    archive: Archive, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.add_kernel("new", RELEASE, "6.1.9-1")
    archive.publish("new")
    stranger = Key()
    try:
        monkeypatch.setattr(apt, "KEYRING", stranger.ring)
        with pytest.raises(KernelError, match=r"signature of the lists of new .* does not check"):
            kernel.find("debian:new", home)
    finally:
        stranger.close()
    assert whole(home) == []
    monkeypatch.setattr(apt, "KEYRING", tmp_path / "none.gpg")
    with pytest.raises(KernelError, match="install the package debian-archive-keyring"):
        kernel.find("debian:new", home)


@ARCHIVE
def test_unsigned_archive(archive: Archive, home: Path) -> None:
    archive.add_kernel("new", RELEASE, "6.1.9-1")
    archive.publish("new")
    (archive.root / "dists/new/InRelease").unlink()
    with pytest.raises(KernelError, match=r"signature of the lists of new .* does not check"):
        kernel.find("debian:new", home)


@ARCHIVE
@pytest.mark.parametrize("what", ["Release", "Packages", "package"])
def test_archive_that_somebody_changed(archive: Archive, home: Path, what: str) -> None:
    deb = archive.add_kernel("new", RELEASE, "6.1.9-1")
    archive.publish("new")
    if what == "Release":
        path = archive.root / "dists/new/InRelease"
        path.write_text(path.read_text().replace("Origin: Fake", "Origin: Evil"))
        sentence = "signature of the lists of new .* does not check"
    elif what == "Packages":
        path = next((archive.root / "dists/new").rglob("Packages.gz"))
        path.write_bytes(path.read_bytes()[:-1] + b"x")
        sentence = "are not what the signed list says"
    else:
        deb.write_bytes(deb.read_bytes()[:-1] + b"x")
        sentence = "packages of new .* are not what the signed list says"
    with pytest.raises(KernelError, match=sentence):
        kernel.find("debian:new", home)
    assert whole(home) == []


@ARCHIVE
def test_download_goes_on_where_it_was_cut(
    archive: Archive, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.add_kernel("new", RELEASE, "6.1.9-1")
    archive.publish("new")
    with fake_archive.served(archive.root, cut=10_000) as (uri, ranges):
        monkeypatch.setenv(apt.MIRROR, uri)
        for _ in range(2):  # apt itself may go on, or leave it to the next call
            try:
                assert kernel.find("debian:new", home).release == RELEASE
                break
            except KernelError:
                assert whole(home) == []
        else:
            pytest.fail("the second call did not fetch it either")
    assert ranges == ["", "bytes=10000-"]


@ARCHIVE
@pytest.mark.parametrize("drips", [".deb", "InRelease"], ids=["kernel", "lists"])
def test_a_mirror_that_drips_is_given_up(
    archive: Archive, home: Path, monkeypatch: pytest.MonkeyPatch, drips: str
) -> None:
    """It answers all the time, so that no time-out of apt's is ever over."""
    archive.add_kernel("new", RELEASE, "6.1.9-1")
    archive.publish("new")
    monkeypatch.setattr(throughput, "WINDOW_S", 1.0)
    with fake_archive.served(archive.root, cut=10_000, drips=drips) as (uri, _):
        monkeypatch.setenv(apt.MIRROR, uri)
        with pytest.raises(OfflineError, match=r"is too slow: \d+ bytes in \d+ s"):
            kernel.find("debian:new", home)
    assert whole(home) == []


def test_a_throughput_that_will_do() -> None:
    now, size = [0.0], [0]
    watched = throughput.Throughput("http://mirror", lambda: size[0], clock=lambda: now[0])
    for _ in range(10):
        now[0] += throughput.WINDOW_S
        size[0] += throughput.LEAST
        watched.look()
    size[0] += throughput.LEAST - 1
    watched.look()
    now[0] += throughput.WINDOW_S
    with pytest.raises(OfflineError, match="119999 bytes in 120 s"):
        watched.look()


@ARCHIVE
def test_mirror_that_lacks_the_newest(archive: Archive, home: Path) -> None:
    archive.add_kernel("new", RELEASE, "6.1.9-1")
    archive.add_kernel("new", "6.1.0-45-amd64", "6.1.10-1").unlink()
    archive.publish("new")
    said: list[str] = []
    assert kernel.find("debian:new", home, said.append).release == RELEASE
    assert any("taking the next older kernel" in line for line in said)
    with pytest.raises(NotInArchiveError, match="lacks a file"):
        kernel.find("debian:6.1.10", home)


@ARCHIVE
def test_kernel_of_the_archive_without_a_share(archive: Archive, home: Path) -> None:
    archive.add_kernel("new", RELEASE, "6.1.9-1", config="CONFIG_KVM=m\nCONFIG_KVM_AMD=m\n")
    archive.publish("new")
    with pytest.raises(KernelError, match=r"without CONFIG_NET_9P; .*CONFIG_9P_FS"):
        kernel.find("debian:new", home)


# -------------------------------------------------------------------------------------------------
# The cache


@ARCHIVE
def test_no_room_on_disk(archive: Archive, home: Path, monkeypatch: Any) -> None:
    archive.add_kernel("new", RELEASE, "6.1.9-1", size=400_000)
    archive.publish("new")
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage(0, 0, 300_000_000))
    with pytest.raises(KernelError, match=r"no room on disk for the kernel 6.1.0-44-amd64: .* 300"):
        kernel.find("debian:new", home)
    assert whole(home) == []


@ARCHIVE
def test_disk_that_becomes_full(
    archive: Archive, home: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    archive.add_kernel("new", RELEASE, "6.1.9-1")
    archive.publish("new")
    fake = tmp_path / "bin/dpkg-deb"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\n: >"$3/half"\necho "tar: No space left on device" >&2\nexit 2\n')
    fake.chmod(0o755)
    with monkeypatch.context() as full:
        full.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
        with pytest.raises(KernelError, match="disk became full while dpkg-deb"):
            kernel.find("debian:new", home)
        assert whole(home) == []
    assert kernel.find("debian:new", home).release == RELEASE


@ARCHIVE
def test_what_a_killed_call_left_is_swept(archive: Archive, home: Path) -> None:
    archive.add_kernel("new", RELEASE, "6.1.9-1")
    archive.publish("new")
    rest = home / f"debian/kernels/{RELEASE}_6.1.9-1.part/boot"
    rest.mkdir(parents=True)
    (rest / "junk").write_text("")
    found = kernel.find("debian:new", home)
    assert found.modules
    assert not (found.modules / "boot/junk").exists()
    assert whole(home) == [f"{RELEASE}_6.1.9-1"]


FIND = """
import pathlib, sys
from lab.emulation import apt, kernel

apt.KEYRING = pathlib.Path(sys.argv[1])
print(kernel.find("debian:new", pathlib.Path(sys.argv[2])).image)
"""


@ARCHIVE
def test_two_processes_at_once(archive: Archive, home: Path) -> None:
    archive.add_kernel("new", RELEASE, "6.1.9-1")
    archive.publish("new")
    command = [sys.executable, "-c", FIND, archive.key.ring, home]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    images = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert images == [f"{home}/debian/kernels/{RELEASE}_6.1.9-1/boot/vmlinuz-{RELEASE}\n"] * 2
    assert whole(home) == [f"{RELEASE}_6.1.9-1"]


def test_lock_is_kept_by_a_child_that_outlives_its_parent(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with cache.lock(path, print, "holds it") as held:
        inherited = os.dup(held)  # as a child has it
    try:
        with path.open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(inherited)
    with path.open() as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KernelError, match="cache cannot be written"):
        cache.make_folder(tmp_path / "file/cache")


def test_program_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache.programs, "places", lambda: "/nowhere")
    with pytest.raises(KernelError, match=r"depmod is missing; .* in the package kmod"):
        cache.run(["depmod"])


def test_machine_without_apt(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(debian.programs, "places", lambda: "/nowhere")
    with pytest.raises(KernelError, match=r"missing on this host: .*apt-get, .*path of a vmlinuz"):
        debian.fetch("debian:trixie", tmp_path, print)


def test_place_of_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(cache.VARIABLE, raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert str(cache.root()) == "/home/me/.cache/kvm-immediate-exit-conformance"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert str(cache.root()) == "/xdg/kvm-immediate-exit-conformance"
    monkeypatch.setenv(cache.VARIABLE, "/mine")
    assert str(cache.root()) == "/mine"
