# SPDX-License-Identifier: GPL-2.0-only
"""Files that a run was asked to write for others when it is over, each in a format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harness import files
from lab.launch.exit_codes import untold
from lab.launch.speaker import Speaker
from lab.results.formats import FORMATS
from lab.results.found import FoundSuite

#: Format and file, in the order in which they were asked for.
Exports = tuple[tuple[str, Path], ...]


def hand_on(exports: Exports, suites: Sequence[FoundSuite], code: int, to: Speaker) -> int:
    """Writes all that can be written, tells of the others; the exit code that is then left."""
    left = code
    for name, path in exports:
        try:
            files.replace(path, FORMATS[name].render(suites))
        except OSError as error:
            to.err(f"Error: {path} cannot be written: {error.strerror}.")
            left = untold(code)
    return left
