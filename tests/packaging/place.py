# SPDX-License-Identifier: GPL-2.0-only
"""Where packaging/ stands, and which of its takers are here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.house.files import ROOT

PACKAGING = ROOT / "packaging"


def of_environment(name: str) -> Path:
    """A command of a Python package of the extra `dev`; without it the test is skipped."""
    command = Path(sys.executable).with_name(name)
    if not command.exists():
        pytest.skip(f"no_dev: {name} is not in this environment; `make setup-dev` brings it")
    return command
