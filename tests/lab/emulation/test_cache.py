# SPDX-License-Identifier: GPL-2.0-only
"""The cache's folder: what it lacks is told as that."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.emulation import cache
from lab.emulation.errors import KernelError


@pytest.mark.parametrize(
    ("file", "entry"),
    [
        ("debian/sources/6.1.0-56/usr/src/Makefile", "debian/sources/6.1.0-56"),
        ("mutants/6.1.0-56/stock/kvm.c", "mutants/6.1.0-56"),
    ],
)
def test_a_file_that_it_lacks_is_named_with_what_brings_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, entry: str
) -> None:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))
    with pytest.raises(KernelError) as told, cache.used():
        (tmp_path / file).read_text()
    assert str(tmp_path / file) in str(told.value)
    assert f"again once {tmp_path / entry} is removed" in str(told.value)


def test_no_other_file_is_the_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    with pytest.raises(FileNotFoundError), cache.used():
        (tmp_path / "results").read_text()
