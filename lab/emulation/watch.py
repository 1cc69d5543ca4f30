# SPDX-License-Identifier: GPL-2.0-only
"""How far a machine is, by the lines of a file that it writes; and when it is given up."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from harness import plain_text
from lab.emulation.share import Share

STATE = "state"
_MOST_BYTES = 1 << 16
#: Bytes of this host's disk that a machine must leave; half of them where it begins with less.
LEAST_FREE = 512 << 20
_STATUS = re.compile(r"status ([0-9]{1,3})", re.ASCII)


@dataclass(frozen=True)
class Limits:
    """Seconds: to user space, between two signs of life, and in all."""

    boot_s: float = 300.0
    silence_s: float = 240.0
    total_s: float = 3600.0


class MachineWatch:
    """Follows a machine by the lines of its state file."""

    def __init__(
        self, share: Share, limits: Limits, signs: Callable[[], float], started: float
    ) -> None:
        self.booted_s: float | None = None
        self.has_kvm = False
        self.status: int | None = None
        self.refused: str | None = None
        self._share = share
        self._lines: list[str] = []
        self._limits = limits
        self._signs = signs
        self._started = started
        self._last = (started, -1.0)
        self._least_free = min(LEAST_FREE, share.free() // 2)

    def look(self) -> str:
        """Why the machine is given up; an empty text while it is not."""
        now = time.monotonic()
        # Once the keeper has removed it, the last lines stand.
        if text := self._share.text(STATE, _MOST_BYTES):
            self._lines = [plain_text.line(line) for line in text.split("\n")]
        lines = self._lines
        if "up" in lines and self.booted_s is None:
            self.booted_s = now - self._started
        self.has_kvm = "kvm" in lines
        for line in lines:
            if found := _STATUS.fullmatch(line):
                self.status = int(found[1])
            if line.startswith("refused"):
                self.refused = line.removeprefix("refused").strip()
        sign = self._signs() + len(lines)
        if sign != self._last[1]:
            self._last = (now, sign)
        if self.status is None and self._share.free() < self._least_free:
            return "the machine was ended before it filled this host's disk"
        limits, age = self._limits, now - self._started
        if self.status is None and self.booted_s is None and age > limits.boot_s:
            return f"the machine did not reach user space in {limits.boot_s:.0f} s"
        if self.status is None and now - self._last[0] > limits.silence_s:
            return f"the machine hung: no sign of life for {limits.silence_s:.0f} s"
        if self.status is None and age > limits.total_s:
            return f"the machine was ended at its time limit of {limits.total_s:.0f} s"
        return ""
