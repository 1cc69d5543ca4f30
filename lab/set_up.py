# SPDX-License-Identifier: GPL-2.0-only
"""What brings what is missing: make in a checkout, pip where the package is installed."""

from __future__ import annotations

import importlib.metadata
import re
import shlex
import sys
from pathlib import Path

DISTRIBUTION = "kvm-immediate-exit-conformance"
#: A wheel has no Makefile.
IS_CHECKOUT = (Path(__file__).resolve().parents[1] / "Makefile").is_file()

_TARGETS = {"emulate": "make setup-emulation", "plot": "make setup-plot"}


def command(extra: str) -> str:
    """What installs the packages of an extra of pyproject.toml: `emulate` or `plot`."""
    if IS_CHECKOUT:
        return _TARGETS[extra]
    return shlex.join([sys.executable, "-m", "pip", "install", *_packages(extra)])


def again() -> str:
    """What mends an installation that is not whole, as a sentence."""
    if IS_CHECKOUT:
        return "Run `make setup`."
    return f"Install {DISTRIBUTION} again by what installed it, with what it requires."


def _packages(extra: str) -> list[str]:
    """An extra's requirements, as the installed metadata have them: `virtme-ng>=1.40`."""
    try:
        wanted = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        wanted = []
    of_extra = re.compile(rf"""extra == ['"]{re.escape(extra)}['"]""")
    found = [each.partition(";")[0].strip() for each in wanted if of_extra.search(each)]
    return found or [f"{DISTRIBUTION}[{extra}]"]
