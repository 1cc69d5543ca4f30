# SPDX-License-Identifier: GPL-2.0-only
"""lab.emulation.bundle: the disk image with what the suites execute."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lab.emulation import bundle, programs
from lab.emulation.errors import KernelError
from tests.fakes import programs as fake_programs

needs_mke2fs = pytest.mark.skipif(
    shutil.which("mke2fs", path=programs.places()) is None,
    reason=fake_programs.why_not("emulation"),
)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for this host: the bundle is made of its two files."""
    folder = tmp_path / "host"
    (folder / "below").mkdir(parents=True)
    (folder / "one.py").write_text("one = 1\n")
    (folder / "below" / "two.py").write_text("two = 2\n")
    monkeypatch.setattr(bundle, "_files", lambda: iter(sorted(folder.rglob("*.py"))))
    monkeypatch.setattr(bundle, "_compile_suites", lambda _: None)
    return folder


def silent(text: str) -> None:
    raise AssertionError(text)


@needs_mke2fs
def test_image_holds_the_files_in_their_places(files: Path, tmp_path: Path) -> None:
    image = bundle.image(tmp_path / "cache", silent)
    assert image
    where = str(files / "below" / "two.py")
    done = subprocess.run(
        ["debugfs", "-R", f"cat {where}", image],
        env={**os.environ, "PATH": programs.places()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "two = 2\n"
    assert [path.name for path in (tmp_path / "cache").iterdir() if path.name[0] == "."] == []


@needs_mke2fs
def test_image_is_made_once_until_a_file_changes(files: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = bundle.image(cache, silent)
    assert first
    made = first.stat().st_ino
    assert bundle.image(cache, silent) == first
    assert first.stat().st_ino == made
    (files / "one.py").write_text("one = 11\n")
    second = bundle.image(cache, silent)
    assert second != first
    (files / "three.py").write_text("")
    third = bundle.image(cache, silent)
    assert third not in (first, second)
    assert len(list(cache.glob("bundle-*.ext4"))) == 3


@needs_mke2fs
def test_old_images_are_removed(files: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    for number in range(6):
        old = cache / f"bundle-{number}.ext4"
        old.touch()
        os.utime(old, (number, number))
    made = bundle.image(cache, silent)
    kept = {path.name for path in cache.glob("bundle-*.ext4")}
    assert made
    assert kept == {made.name, "bundle-3.ext4", "bundle-4.ext4", "bundle-5.ext4"}


@needs_mke2fs
def test_no_room_is_a_sentence(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(bundle.caches.shutil, "disk_usage", lambda _: usage._replace(free=1))
    with pytest.raises(KernelError, match="no room on disk for the emulated host's bundle"):
        bundle.image(tmp_path / "cache", silent)
    assert list((tmp_path / "cache").glob("bundle-*.ext4")) == []


def test_what_a_run_needs_is_chosen() -> None:
    chosen = {str(path) for path in bundle._files()}
    root = bundle.ROOT
    for name in (
        "conftest.py",
        "harness/kvm/run.py",
        "suites/dimensions.py",
        "lab/launch/finish.py",
    ):
        assert str(root / name) in chosen
    for package in ("pytest", "xdist", "click", "psutil", "msgspec"):
        assert any(name.endswith(f"/{package}/__init__.py") for name in chosen), package
    assert any(name.endswith(".bin") for name in chosen), "the guest programs"
    assert any("_native" in name for name in chosen)
    # Not their libraries, which this process may have loaded.
    others = ("/scipy/__init__.py", "/matplotlib/__init__.py", "/virtme/__init__.py")
    assert not any(name.endswith(others) for name in chosen)
