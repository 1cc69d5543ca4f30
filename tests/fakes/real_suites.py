# SPDX-License-Identifier: GPL-2.0-only
"""The suites themselves, run by plain pytest in a process of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def run(
    folder: Path,
    *words: str,
    before: tuple[str, ...] = (),
    environment: Mapping[str, str] = os.environ,
    timeout: float | None = None,
) -> subprocess.CompletedProcess[str]:
    """pytest in `folder`, with its cache off and without workers; plugins of tests/ can be named.

    `before` are words that start a program: a limit, for example. `words` end with what is to run.
    """
    return subprocess.run(
        [
            *(*before, sys.executable, "-m", "pytest", "-c", str(ROOT / "pytest.ini")),
            *(f"--rootdir={ROOT}", "-p", "no:cacheprovider", "-p", "no:xdist", "-q", *words),
        ],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
