# SPDX-License-Identifier: GPL-2.0-only
"""Files that a run was asked to write for others when it is over, each in a format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness import files
from lab.results.formats import FORMATS
from lab.results.found import FoundSuite

#: Format and file, in the order in which they were asked for.
Exports = tuple[tuple[str, Path], ...]


def write(exports: Exports, suites: Sequence[FoundSuite]) -> list[str]:
    """All that can be written; a sentence for each that cannot."""
    refused = []
    for name, path in exports:
        try:
            files.replace(path, FORMATS[name].render(suites))
        except OSError as error:
            refused.append(f"{path} cannot be written: {error.strerror}")
    return refused
