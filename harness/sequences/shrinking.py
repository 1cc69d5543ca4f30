# SPDX-License-Identifier: GPL-2.0-only
"""Makes a sequence that fails shorter: operations and steps are left out, as long as it fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from harness.sequences.sequence import Done, Recorded


def shrink(
    recorded: Recorded, fails: Callable[[Recorded], bool], most: int = 100
) -> tuple[Recorded, int]:
    """The shortest that still fails, found in at most so many tries; and how many it took.

    Halves are left out first, then smaller parts, as in delta debugging (Zeller). `fails` plays
    one, here or in a machine that is booted for it.
    """
    tries = 0
    shorter = True
    while shorter:
        shorter = False
        for candidate in _shorter(recorded):
            if tries == most:
                return recorded, tries
            tries += 1
            if fails(candidate):
                recorded, shorter = candidate, True
                break
    return recorded, tries


def _shorter(recorded: Recorded) -> Iterator[Recorded]:
    done = list(recorded.done)
    size = len(done) // 2
    while size:
        for start in range(0, len(done), size):
            yield replace(recorded, done=(*done[:start], *done[start + size :]))
        size //= 2
    for place, each in enumerate(done):
        for fewer in _fewer_steps(each):
            yield replace(recorded, done=(*done[:place], fewer, *done[place + 1 :]))


def _fewer_steps(done: Done) -> Iterator[Done]:
    """A script with one step less; its last one stays."""
    steps = done.arguments.get("steps", ())
    for place in range(len(steps) - 1):
        fewer = [*steps[:place], *steps[place + 1 :]]
        yield replace(done, arguments={**done.arguments, "steps": fewer})
