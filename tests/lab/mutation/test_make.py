# SPDX-License-Identifier: GPL-2.0-only
"""The process that makes the modules of one mutant: what it cannot do, it says in a sentence."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from lab.launch.exit_codes import Exit
from lab.launch.speaker import Written
from lab.mutation import catalogue, make
from lab.mutation.source import Source


def test_a_file_that_is_missing_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KVM_CONFORMANCE_CACHE", str(tmp_path / "cache"))
    nowhere = str(tmp_path / "cache/debian/sources/gone")
    words = ("b", "6.1", "Debian 6.1", "6.1", nowhere, nowhere, "gcc", "6.1_1", "d")
    Source(*words).write(tmp_path / "source.json")
    to = Written(io.StringIO())
    file = str(tmp_path / "source.json")
    code, found = make.make(file, str(catalogue.FOLDER), make.STOCK, to)
    assert (code, found["outcome"]) == (Exit.SUITE_ERROR, "not judged")
    assert nowhere in found["error"]
    assert "is fetched or made again" in found["error"]
