# SPDX-License-Identifier: GPL-2.0-only
"""How many kicks a run of the suites makes."""

from __future__ import annotations

from dataclasses import dataclass

from harness.kick.plan import MOST_KICKS

LEAST = 2_000
"""Below it the landings that the tests promise cannot be filled; on a real host below 10,000."""
_NIGHTLY = 33_334_000  # for each of three protocols: 100,000,000 in all
WORDS = {"quick": 100_000, "ci": 1_000_000, "nightly": _NIGHTLY}


class BudgetError(ValueError):
    """No budget; the sentence says why."""


@dataclass(frozen=True)
class Budget:
    """`kicks` for each protocol, shared out over its deliveries and schedules."""

    kicks: int

    @classmethod
    def of(cls, text: str) -> Budget:
        """A word of WORDS, or a number. Raises `BudgetError`."""
        if text in WORDS:
            return cls(WORDS[text])
        try:
            kicks = int(text.replace("_", "").replace(",", ""))
        except ValueError:
            known = ", ".join(WORDS)
            raise BudgetError(f"{text!r} is no number of kicks, and none of {known}") from None
        if not LEAST <= kicks <= MOST_KICKS:
            raise BudgetError(f"{kicks} kicks: a budget is {LEAST:,} to {MOST_KICKS:,}")
        return cls(kicks)

    def part(self, share: float) -> int:
        """This share of the kicks, at least 1."""
        return max(1, int(self.kicks * share))
