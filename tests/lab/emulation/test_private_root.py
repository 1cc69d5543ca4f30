# SPDX-License-Identifier: GPL-2.0-only
"""Programs of another release in a root of their own: how it is made, and what they see in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lab.emulation import apt, private_root, reach
from lab.emulation.apt import Suite
from lab.emulation.errors import KernelError, NotInArchiveError
from tests.fakes import archive as fake_archive
from tests.fakes.archive import Archive, Key

NO_TOOLS = fake_archive.why_not()
ARCHIVE = pytest.mark.skipif(bool(NO_TOOLS), reason=NO_TOOLS)
NAMES = ("gcc-98", "mawk")


@pytest.fixture
def archive(key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """A suite with a compiler, whose library is of before the merge of /usr."""
    (tmp_path / "archive").mkdir()
    made = Archive(tmp_path / "archive", key, apt.architecture())
    made.add("sid", "gcc-98", "98.1-1", {"usr/bin/gcc-98": b"cc"}, depends="libc98 (>= 2), base")
    made.add("sid", "libc98", "1:2.43-7", {"lib/libc.so": b"c", "lib64/ld.so": b"ld"})
    made.add("sid", "base", "1", {"usr/lib/base": b""})
    made.add("sid", "mawk", "1", {"usr/bin/mawk": b"awk"})
    made.add("sid", "other", "1", {"usr/bin/other": b""})
    made.publish("sid")
    monkeypatch.setattr(apt, "KEYRING", key.ring)
    return made


def provide(archive: Archive, tmp_path: Path, user: str = "7.2", *names: str) -> Path:
    """The root for a user. What apt had fetched is not of long ago."""
    return private_root.provide(
        user,
        names or NAMES,
        lambda: Suite(archive.uri, "sid"),
        tmp_path / "cache",
        lambda _: None,
    )


def roots(tmp_path: Path) -> list[str]:
    home = tmp_path / "cache/debian/roots"
    return [path.name for path in home.iterdir() if path.is_dir()] if home.is_dir() else []


@ARCHIVE
def test_packages_with_what_they_depend_on(archive: Archive, tmp_path: Path) -> None:
    root = provide(archive, tmp_path)
    assert (root / "usr/bin/gcc-98").read_bytes() == b"cc"
    assert (root / "usr/lib/libc.so").read_bytes() == b"c", "/lib is /usr/lib"
    assert (root / "lib64/ld.so").read_bytes() == b"ld"
    assert (root / "lib").is_symlink(), "what a package has there is beside, not in its place"
    assert (root / "bin/awk").read_bytes() == b"awk", "an alternative"
    assert not (root / "bin/sh").is_symlink(), "of nothing"
    assert not (root / "usr/bin/other").exists()
    assert list((tmp_path / "cache/debian/downloads").iterdir()) == []


@ARCHIVE
def test_a_user_keeps_its_root_and_shares_it(archive: Archive, tmp_path: Path) -> None:
    root = provide(archive, tmp_path)
    assert provide(archive, tmp_path, "7.3") == root
    archive.add("sid", "base", "2", {"usr/lib/base": b"newer"})
    archive.publish("sid")
    shutil.rmtree(tmp_path / "cache/debian/suites")
    assert provide(archive, tmp_path) == root, "modules that are built in it go on"
    newer = provide(archive, tmp_path, "7.4")
    assert (newer / "usr/lib/base").read_bytes() == b"newer"
    archive.root.rename(tmp_path / "gone")
    assert provide(archive, tmp_path) == root, "without a network"
    assert len(roots(tmp_path)) == 2


@ARCHIVE
def test_a_root_that_somebody_removed_is_made_again(archive: Archive, tmp_path: Path) -> None:
    root = provide(archive, tmp_path)
    shutil.rmtree(root)
    assert provide(archive, tmp_path) == root
    assert (root / "usr/bin/gcc-98").is_file()


@ARCHIVE
@pytest.mark.parametrize("death", [KeyboardInterrupt, KernelError])
def test_what_was_interrupted_is_no_root(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, death: type[BaseException]
) -> None:
    real = private_root.unpack

    def half(files: list[Path], folder: Path, *more: object) -> None:
        real(files[:1], folder, *more)  # type: ignore[arg-type]
        raise death

    monkeypatch.setattr(private_root, "unpack", half)
    with pytest.raises(death):
        provide(archive, tmp_path)
    assert roots(tmp_path) == []
    monkeypatch.undo()
    monkeypatch.setattr(apt, "KEYRING", archive.key.ring)
    assert (provide(archive, tmp_path) / "usr/bin/gcc-98").is_file()


@ARCHIVE
def test_a_package_that_was_changed(archive: Archive, tmp_path: Path) -> None:
    deb = next((archive.root / "pool").glob("libc98_*"))
    deb.write_bytes(deb.read_bytes().replace(b"2.43", b"6.66"))
    with pytest.raises(KernelError, match="are not what the signed list says"):
        provide(archive, tmp_path)
    assert roots(tmp_path) == []


@ARCHIVE
def test_lists_that_nobody_signed(archive: Archive, tmp_path: Path) -> None:
    release = archive.root / "dists/sid/InRelease"
    release.write_text(release.read_text().replace("Origin: Fake", "Origin: Foul"))
    with pytest.raises(KernelError, match="signature"):
        provide(archive, tmp_path)


@ARCHIVE
def test_what_the_suite_does_not_have(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(NotInArchiveError, match=r"sid from .* cannot give gcc-99: .*gcc-99"):
        provide(archive, tmp_path, "7.2", "gcc-99")


@ARCHIVE
def test_without_room(archive: Archive, tmp_path: Path) -> None:
    archive.add("sid", "gcc-97", "1", size=10**11)
    archive.publish("sid")
    with pytest.raises(KernelError, match=r"no room on disk for a root of sid with 1 packages"):
        provide(archive, tmp_path, "7.2", "gcc-97")
    assert roots(tmp_path) == []


# -------------------------------------------------------------------------------------------------
# In it


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """One with a shell."""
    if why := reach.refused():
        pytest.skip(f"no namespaces here: {why}")
    shell = shutil.which("busybox")
    if shell is None:
        pytest.skip("no_tools: busybox is not installed")
    top = tmp_path / "root"
    for name in ("usr/bin", "usr/share/doc", "var/cache", "etc", "proc", "tmp"):
        (top / name).mkdir(parents=True)
    (top / "bin").symlink_to("usr/bin")
    shutil.copy(shell, top / "usr/bin/sh")
    (top / "etc/release").write_text("another\n")
    (top / "tmp/left").touch()
    return top


def sh(root: Path, script: str, *paths: Path) -> tuple[int, str]:
    done = private_root.run(root, paths, ["/bin/sh", "-c", script])
    return done.returncode, done.stdout + done.stderr


def test_the_root_and_the_paths_are_all_that_is_there(root: Path, tmp_path: Path) -> None:
    for name in ("shown", "hidden"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(f"{name}\n")
    script = f"cat /etc/release; cd {tmp_path}; ls; echo new >shown/file; ls /tmp /root; exit 7"
    code, told = sh(root, script, tmp_path / "shown")
    assert code == 7
    assert told.split() == ["another", "shown", "/root:", "/tmp:", tmp_path.parts[2]]
    assert (tmp_path / "shown/file").read_text() == "new\n"


def test_the_root_cannot_be_changed(root: Path) -> None:
    code, told = sh(root, "echo x >/etc/release; echo x >/usr/bin/new; echo x >/tmp/own; echo $?")
    assert code == 0
    assert told.count("Read-only file system") == 2
    assert "0" in told.split()
    assert (root / "etc/release").read_text() == "another\n"


def test_a_path_where_the_root_has_a_folder(root: Path) -> None:
    """The cache may be in /var/cache, and the checkout in /usr/share."""
    place = Path("/usr/share/zoneinfo")
    if not place.is_dir():
        pytest.skip("no_tools: tzdata is not installed")
    _, told = sh(root, f"ls /usr/share; ls -d {place}/Etc", place)
    assert told.split() == ["doc", "zoneinfo", f"{place}/Etc"]


def test_a_host_that_refuses(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_root, "_SYSCTL", tmp_path)
    (tmp_path / "user").mkdir()
    (tmp_path / "user/max_user_namespaces").write_text("0\n")
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel/unprivileged_userns_clone").write_text("1\n")
    shutil.rmtree(root)
    with pytest.raises(KernelError, match=r"own: .*root.*\(sysctl user.max_user_namespaces\)"):
        sh(root, "")
    monkeypatch.setattr(reach, "refused", lambda: "this host refuses namespaces: no")
    assert "refuses namespaces: no; allow this user mount and user" in private_root.refused()
