# SPDX-License-Identifier: GPL-2.0-only
"""The journal of a soak: a line a slice, so that a soak that was killed has lost nothing.

``{"event": "soak", "time", "version": 1, "environment": {...}, ...}`` the first line
``{"event": "slice", "time", "number", "summaries": [...], "control", "verdict", ...}``
``{"event": "end", "time", "exit", "verdicts"}``

`summaries` are those of `harness.kick.summary.Summary.as_json`, one a vCPU. `verdict` is empty
unless something is wrong. A reader leaves a torn last line out.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from harness import json_lines
from harness.reporting.journal import now

JOURNAL = "soak.jsonl"
VERSION = 1


class SoakJournal:
    """One line a slice, on the disk before the next one begins.

    Raises OSError, FileExistsError for a folder that holds a journal already.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(folder / JOURNAL, flags, 0o644)

    def line(self, event: str, **fields: Any) -> None:
        """Appends and waits for the disk."""
        json_lines.append(self._fd, {"event": event, "time": now(), **fields})

    def close(self) -> None:
        """Closes the file."""
        os.close(self._fd)
