# SPDX-License-Identifier: GPL-2.0-only
"""The played KVMs as a library that is preloaded."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = sorted(Path(__file__).parent.glob("*.c"))


def build(folder: Path) -> Path:
    """Built with the compiler that set-up needs anyway; the test is skipped without one."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        pytest.skip("no C compiler")
    built = folder / "broken_kvm.so"
    options = ["-std=gnu11", "-shared", "-fPIC", "-O1", "-pthread"]
    subprocess.run([compiler, *options, "-o", str(built), *map(str, SOURCES)], check=True)
    return built
