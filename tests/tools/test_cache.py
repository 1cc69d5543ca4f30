# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance cache``: what is listed, and what is removed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lab.emulation import cache as caches
from lab.emulation import stored
from tools.cli import main

OLD = time.time() - 40 * stored.DAY_S


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with an old kernel, one whose files are old and that was used, and two bundles."""
    monkeypatch.setenv(caches.VARIABLE, str(tmp_path))
    for name in ("old", "used"):
        folder = tmp_path / "debian/kernels" / name
        (folder / "boot").mkdir(parents=True)
        (folder / "boot/vmlinuz").write_bytes(b"x" * 100_000)
        (folder / "second-name").hardlink_to(folder / "boot/vmlinuz")
        stored.lock_of(folder).touch()
        os.utime(stored.lock_of(folder), (OLD, OLD))
        os.utime(folder, (OLD, OLD))
    stored.mark_used(tmp_path / "debian/kernels/used")
    for name, when in (("bundle-1.ext4", OLD), ("bundle-2.ext4", time.time())):
        (tmp_path / name).write_bytes(b"y" * 5000)
        os.utime(tmp_path / name, (when, when))
    (tmp_path / "bundle.lock").touch()
    return tmp_path


def test_list_has_sizes_and_a_sum(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache"]) == 0
    *lines, total = capsys.readouterr().out.splitlines()
    assert [line.split()[-2:] for line in lines] == [
        *(["kernels", "old"], ["kernels", "used"]),
        *(["bundle", "bundle-1.ext4"], ["bundle", "bundle-2.ext4"]),
    ]
    assert all("0 MB" in line for line in lines)
    assert "in 4 entries" in total
    sizes = {each.path.name: each.size for each in stored.entries(filled)}
    assert 100_000 <= sizes["old"] < 200_000, "a file with two names counts once"


def test_clean_removes_what_was_not_used(filled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "--clean"]) == 0
    said = capsys.readouterr().out
    assert "old" in said
    assert "bundle-2" not in said
    left = sorted(each.path.name for each in stored.entries(filled))
    assert left == ["bundle-2.ext4", "used"]


def test_clean_of_no_days_removes_all(filled: Path) -> None:
    assert main(["cache", "--clean", "--days", "0"]) == 0
    assert stored.entries(filled) == []


def test_cache_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(caches.VARIABLE, str(tmp_path / "none"))
    assert main(["cache"]) == 0
    assert "0 MB in 0 entries" in capsys.readouterr().out


def test_what_cannot_be_removed_is_a_sentence(
    filled: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(_path: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(stored.shutil, "rmtree", refused)
    assert main(["cache", "--clean", "--days", "0"]) == 70
    assert "cannot be removed: Permission denied" in capsys.readouterr().err
