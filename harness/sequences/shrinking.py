# SPDX-License-Identifier: GPL-2.0-only
"""Makes a sequence that fails shorter and simpler, as long as it fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from harness.kvm.system import System
from harness.sequences import arch
from harness.sequences.drawing import Refuted
from harness.sequences.operation import AnyScript, OneOf
from harness.sequences.operations import operations
from harness.sequences.sequence import Done, Recorded, play


def shortest(system: System, found: Refuted) -> Refuted:
    """The shortest on this host that still breaks the claim, and how; as it is if none does."""
    last = found

    def fails(shorter: Recorded) -> bool:
        nonlocal last
        broken = play(system, shorter)
        if broken is None or broken.claim != found.violation.claim:
            return False
        last = Refuted(shorter, broken)
        return True

    shrink(found.recorded, fails)
    return last


def shrink(
    recorded: Recorded,
    fails: Callable[[Recorded], bool],
    most: int = 100,
    seconds: float = 20.0,
) -> tuple[Recorded, int]:
    """The shortest that still fails, found in at most so many tries; and how many it took.

    Halves are left out first, then smaller parts, as in delta debugging (Zeller). `fails` plays
    one, here or in a machine that is booted for it. After so many `seconds` no more is tried: one
    that fails because a run does not end takes long.
    """
    tries = 0
    shorter = True
    ends = time.monotonic() + seconds
    while shorter:
        shorter = False
        for candidate in _shorter(recorded):
            if tries == most or time.monotonic() > ends:
                return recorded, tries
            tries += 1
            if fails(candidate):
                recorded, shorter = candidate, True
                break
    return recorded, tries


def _shorter(recorded: Recorded) -> Iterator[Recorded]:
    features, needed = recorded.setting.features, _needed(recorded)
    spare = [each for each in features if each not in needed]
    for left_out in [spare, *([each] for each in spare)] if spare else []:
        kept = tuple(each for each in features if each not in left_out)
        yield replace(recorded, setting=replace(recorded.setting, features=kept))
    done = list(recorded.done)
    size = len(done) // 2
    while size:
        for start in range(0, len(done), size):
            yield replace(recorded, done=(*done[:start], *done[start + size :]))
        size //= 2
    for place, each in enumerate(done):
        for simpler in (*_fewer_steps(each), *_simpler_arguments(each)):
            yield replace(recorded, done=(*done[:place], simpler, *done[place + 1 :]))


def _needed(recorded: Recorded) -> set[str]:
    """What a VM must have for its operations and steps."""
    kinds = arch.current().PROGRAM.steps
    steps = (step for each in recorded.done for step in each.arguments.get("steps", ()))
    return {
        *(operations()[each.operation].needs for each in recorded.done),
        *(kinds[step[0]].needs for step in steps),
    }


def _fewer_steps(done: Done) -> Iterator[Done]:
    """A script with one step less; its last one stays."""
    steps = done.arguments.get("steps", ())
    for place in range(len(steps) - 1):
        fewer = [*steps[:place], *steps[place + 1 :]]
        yield replace(done, arguments={**done.arguments, "steps": fewer})


def _simpler_arguments(done: Done) -> Iterator[Done]:
    """Each argument as the first of its values, or the second, or 0."""
    for name, domain in operations()[done.operation].arguments.items():
        if isinstance(domain, AnyScript):
            continue
        simple = list(dict.fromkeys(domain.values))[:2] if isinstance(domain, OneOf) else [0]
        for value in simple:
            if done.arguments.get(name) == value:
                break
            yield replace(done, arguments={**done.arguments, name: value})
