# SPDX-License-Identifier: GPL-2.0-only
"""Which operations, pairs of operations and states of the model were reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from harness.model.answers import ModelVcpu

_THEN = " then "


def state_of(model: ModelVcpu) -> str:
    """A state of the model in a few words: its step, and what is so."""
    said = {
        "pending": model.pending,
        "raises": model.raises(),
        "waiting": model.waits(),
        "masked": model.masked,
        "interrupts on": model.state.interrupts_on,
        "events to come": any(each.to_come for each in model.state.events.values()),
    }
    return ", ".join([model.step.name, *(words for words, so in said.items() if so)])


@dataclass
class Coverage:
    """Counts by name; a pair is `one then another`, both done to the same vCPU.

    `operations` has all that there are, those that were not reached with 0: on which architecture a
    journal was written need nobody know who reads it.
    """

    operations: Counter[str] = field(default_factory=Counter)
    pairs: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    _last: str = ""

    def begins(self) -> None:
        """A sequence begins: no operation comes before its first."""
        self._last = ""

    def count(self, operation: str, model: ModelVcpu) -> None:
        """An operation in a state of the model."""
        self.operations[operation] += 1
        self.states[state_of(model)] += 1
        if self._last:
            self.pairs[f"{self._last}{_THEN}{operation}"] += 1
        self._last = operation

    def as_json(self) -> dict[str, dict[str, int]]:
        """For a journal."""
        return {
            "operations": dict(self.operations),
            "pairs": dict(self.pairs),
            "states": dict(self.states),
        }


def never(operations: Mapping[str, int]) -> list[str]:
    """Those that never came."""
    return [name for name, count in operations.items() if not count]


def missing_pairs(pairs: Mapping[str, int], operations: Collection[str]) -> list[str]:
    """The pairs of these operations that never came."""
    every = (f"{one}{_THEN}{other}" for one in operations for other in operations)
    return [pair for pair in every if not pairs.get(pair)]
