# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's log of a run, copied to a file while it runs."""

from __future__ import annotations

import os
from pathlib import Path

from harness import files
from harness.host import kernel_log
from harness.reporting.journal import now

GAP = "records are missing here: the kernel overwrote them before they were read"


class Copy:
    """Copies what the kernel says from now on. Where it may not be read, the file says why.

    ``alarms`` are the alarms so far, each with the time at which it was read. ``lost`` says why the
    copy is not complete, or is empty: a run goes on without it.

    :raises OSError: the file cannot be made.
    """

    def __init__(self, path: Path, *, device: Path = kernel_log.DEVICE) -> None:
        self.alarms: list[tuple[str, str]] = []
        self.lost = ""
        self._out = os.fdopen(files.create(path), "w", encoding="utf-8", errors="backslashreplace")
        self._log = kernel_log.KernelLog(device)
        if self._log.why_not:
            self._write([f"# {self._log.why_not}"])

    def more(self) -> None:
        """Copy what is new; does not wait."""
        gaps = self._log.gaps
        records = self._log.new_records()
        if self._log.gaps > gaps:
            self._write([f"# {GAP}"])
        self.alarms += [(now(), line) for line in kernel_log.alarms(records)[:1]]
        self._write([record.line for record in records])

    def close(self) -> None:
        """Copy the rest and close."""
        self.more()
        self._log.close()
        try:
            self._out.close()
        except OSError as error:
            self.lost = self.lost or os.strerror(error.errno or 0)

    def _write(self, lines: list[str]) -> None:
        if not lines or self.lost:
            return
        try:
            self._out.write("".join(f"{line}\n" for line in lines))
            self._out.flush()
        except OSError as error:
            self.lost = os.strerror(error.errno or 0)
