# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's parser and runner out of Debian's sources, from a played archive."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from lab.emulation import apt
from lab.emulation.errors import NotInArchiveError
from tests import kernel_tools
from tests.fakes import archive as fake_archive
from tests.fakes.archive import Archive, Key

pytestmark = pytest.mark.skipif(
    bool(fake_archive.why_not()), reason=fake_archive.why_not() or "the tools are here"
)
FILES = [
    *(name for name in kernel_tools.TAKEN if Path(name).suffix or name.endswith("Makefile")),
    *("tools/testing/kunit/kunit.py", "tools/testing/selftests/kselftest/runner.sh"),
]


def packed(top: str) -> bytes:
    """Sources with the tools and something else; each file holds its own path."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as file:
        for name in (*FILES, "mm/memory.c", "tools/testing/selftests/kvm/Makefile"):
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size = len(info.name)
            file.addfile(info, io.BytesIO(info.name.encode()))
    return data.getvalue()


@pytest.fixture
def archive(key: Key, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """A suite with the sources of two kernels, the later one first."""
    made = Archive(tmp_path / "archive", key, apt.architecture())
    for short, version in (("6.12", "6.12.5-1"), ("6.1", "6.1.170-3")):
        top = f"linux-source-{short}"
        made.add("sid", top, version, {f"usr/src/{top}.tar.xz": packed(top)})
    made.publish("sid")
    made.publish("empty")
    monkeypatch.setattr(apt, "KEYRING", key.ring)
    monkeypatch.setenv("KVM_CONFORMANCE_DEBIAN_MIRROR", made.uri)
    return made


def test_the_newest_kernels_tools_are_fetched_once(archive: Archive, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    found = kernel_tools.fetch("sid", cache, lambda _: None)
    taken = {str(path.relative_to(found)) for path in found.rglob("*") if path.is_file()}
    assert taken == set(FILES), "nothing else is kept"
    assert (found / FILES[0]).read_text() == f"linux-source-6.12/{FILES[0]}"
    assert not list(cache.rglob("*.deb"))
    archive.root.rename(tmp_path / "gone")
    assert kernel_tools.fetch("sid", cache, lambda _: None) == found


def test_a_suite_without_sources(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(NotInArchiveError, match="empty has no package linux-source"):
        kernel_tools.fetch("empty", tmp_path / "cache", lambda _: None)
