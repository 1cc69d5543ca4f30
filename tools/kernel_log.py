# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's log of a run, copied to a file while it runs."""

from __future__ import annotations

from pathlib import Path

from harness.host import kernel_log


class Copy:
    """Copies what the kernel says from now on. Where it may not be read, the file says why.

    :raises OSError: the file cannot be written.
    """

    def __init__(self, path: Path, *, device: Path = kernel_log.DEVICE) -> None:
        self._out = path.open("w", encoding="utf-8")
        self._log = kernel_log.KernelLog(device)
        if self._log.why_not:
            self._write([f"# {self._log.why_not}"])

    def more(self) -> None:
        """Copy what is new; does not wait."""
        self._write(self._log.new_lines())

    def close(self) -> None:
        """Copy the rest and close."""
        self.more()
        self._log.close()
        self._out.close()

    def _write(self, lines: list[str]) -> None:
        if lines:
            self._out.write("".join(f"{line}\n" for line in lines))
            self._out.flush()
