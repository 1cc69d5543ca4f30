# SPDX-License-Identifier: GPL-2.0-only
"""How fast this host is: all that is stretched, or made less of, on a slow one, asks here."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TypeVar

from harness.host import description

T = TypeVar("T")


@dataclass(frozen=True)
class Pace:
    """`factor`: how much longer work takes, 1 on a usual host. `takes_turns`: its processors do.

    What has a reason of its own to be long or short keeps its number beside that reason, and asks
    one of these methods what this host makes of it.
    """

    factor: float = 1.0
    takes_turns: bool = False

    def stretched(self, time: float) -> float:
        """A bound on work, and times between signals, in any unit: the factor longer."""
        return time * self.factor

    def patience(self, seconds: float) -> float:
        """A bound that is counted in the time of who waits: at most twice as long.

        A starved host stretches that time by itself.
        """
        return seconds * min(self.factor, 2.0)

    def choose(self, usual: T, slow: T) -> T:
        """What cannot be stretched: the one for a slow host, or the usual one."""
        return slow if self.factor > 1 else usual

    def meetings(self, least: int) -> int:
        """So many kicks must land in one place.

        Processors that take turns meet seldom: a kick comes where the vCPU's turn ended.
        """
        return least // 50 if self.takes_turns else least


@functools.cache
def here() -> Pace:
    """This host's, made once a process: an emulated one's processors take turns.

    Not of `description.describe()`, which also says what modules are loaded, and so comes later.
    """
    emulated = description.tier(description.cpuinfo()).startswith("emulated")
    return Pace(description.time_scale(), emulated)
