# SPDX-License-Identifier: GPL-2.0-only
"""Draws sequences: in each state of the model one of the operations that are possible there.

By a generator of pseudo-random numbers, and not by a library that draws and shrinks: what a
sequence is made of hangs on its seed alone, an emulated host has the time for it, and one that
takes its machine with it is made shorter in fresh ones (`shrinking`).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.kvm.system import System
from harness.model.program import MASK, Step
from harness.sequences import arch
from harness.sequences.operation import AnyNumber, Domain, OneOf
from harness.sequences.operations import operations as all_operations
from harness.sequences.sequence import NOBODY, Listener, Player, Recorded
from harness.sequences.setting import Setting
from harness.sequences.subject import Subject
from harness.sequences.violation import Violation

_FEATURE = 0.3  # how likely a VM has each
_LIKELY = (0, 1, MASK)


@dataclass(frozen=True)
class Refuted:
    """A sequence that broke a claim."""

    recorded: Recorded
    violation: Violation


def explore(
    system: System, irqchip: str, *, numbers: Iterable[int], operations: int, seed: int
) -> Refuted | None:
    """The sequences of these numbers, of so many operations, on VMs with this irqchip.

    Until one fails.

    The same for the same seed, as far as the kernel answers the same.
    """
    for number in numbers:
        found = explore_one(system, irqchip, operations=operations, seed=f"{seed} {number}")
        if found:
            return found
    return None


def explore_one(
    system: System, irqchip: str, *, operations: int, seed: str, told: Listener = NOBODY
) -> Refuted | None:
    """One sequence; None if it breaks no claim."""
    chance = random.Random(f"{irqchip} {seed}")
    features = tuple(each for each in arch.current().features(system) if chance.random() < _FEATURE)
    player = Player(system, Setting(irqchip, features), told)
    try:
        for _ in range(operations):
            if not player.over:
                _do_one(player, chance)
        player.end()
    except Violation as error:
        return Refuted(player.recorded, error)
    finally:
        player.close()
    return None


def _do_one(player: Player, chance: random.Random) -> None:
    table = all_operations()
    names = [name for name in table if player.possible(name)]
    (name,) = chance.choices(names, [table[each].weight for each in names])
    drawn = {
        each: _draw(chance, domain, player.subject)
        for each, domain in table[name].arguments.items()
    }
    player.do(name, drawn)


def _draw(chance: random.Random, domain: Domain, subject: Subject) -> Any:
    if isinstance(domain, OneOf):
        return chance.choice(domain.values)
    if isinstance(domain, AnyNumber):
        return _number(chance)
    return _script(chance, domain.most, subject)


def _number(chance: random.Random) -> int:
    """Every second one is at an end of the range."""
    return chance.choice(_LIKELY) if chance.getrandbits(1) else chance.getrandbits(64)


def _script(chance: random.Random, most: int, subject: Subject) -> Sequence[tuple[str, int, int]]:
    """Steps that this VM can do; each `wait` is for a release of its own; and the end."""
    program, released = subject.program.PROGRAM, subject.model.released
    kinds = [name for name, kind in program.steps.items() if not kind.last and subject.can_do(name)]
    found = []
    weights = [program.steps[name].weight for name in kinds]
    for name in chance.choices(kinds, weights, k=chance.randint(0, most)):
        kind = program.steps[name]
        step = program.kept(Step(name, chance.choice(kind.operands), _number(chance)))
        if kind.waits:
            released += 1
            step = Step(name, released)
        found.append((step.name, step.operand, step.value))
    return [*found, ("end", 0, 0)]
