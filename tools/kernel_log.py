# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's log of a run, copied to a file while it runs."""

from __future__ import annotations

import os
from pathlib import Path

from harness import files
from harness.host import kernel_log

GAP = "records are missing here: the kernel overwrote them before they were read"


class Copy:
    """Copies what the kernel says from now on. Where it may not be read, the file says why.

    :raises OSError: the file cannot be written.
    """

    def __init__(self, path: Path, *, device: Path = kernel_log.DEVICE) -> None:
        self._out = os.fdopen(files.create(path), "w", encoding="utf-8")
        self._log = kernel_log.KernelLog(device)
        if self._log.why_not:
            self._write([f"# {self._log.why_not}"])

    def more(self) -> None:
        """Copy what is new; does not wait."""
        gaps = self._log.gaps
        lines = [record.line for record in self._log.new_records()]
        if self._log.gaps > gaps:
            self._write([f"# {GAP}"])
        self._write(lines)

    def close(self) -> None:
        """Copy the rest and close."""
        self.more()
        self._log.close()
        self._out.close()

    def _write(self, lines: list[str]) -> None:
        if lines:
            self._out.write("".join(f"{line}\n" for line in lines))
            self._out.flush()
