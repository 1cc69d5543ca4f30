# SPDX-License-Identifier: GPL-2.0-only
"""Fixtures that several of the project's own tests use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import fake_programs
import pytest

from harness.emulation import programs


@pytest.fixture
def played_programs(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Stand-ins for what boots a machine, first in PATH, also of child processes; their folder."""
    folder = fake_programs.make(tmp_path_factory.mktemp("programs"), "emulation")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    known = programs.qemu_version  # a test may put a function without a cache there
    known.cache_clear()
    yield folder
    known.cache_clear()
