# SPDX-License-Identifier: GPL-2.0-only
"""What a condition is.

A condition is a function of a guest. It makes something so and yields; what it does after that
takes it back, so that the guest can run on. One that has several states yields in each. Its name is
the word in the results, its docstring the circumstance in the sentence of a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from harness.kvm.exits import VcpuExit
from harness.kvm.guest import Guest

Condition = Callable[[Guest], Iterator[None]]
_BEFORE = "before_a_signal"


@dataclass(frozen=True)
class Before:
    """What KVM does under a condition before it looks for a signal, which may be its right.

    `leaves` is an exit to userspace. `moves`: it takes an event, which shows in the registers.
    `breaks`: the guest cannot run afterwards, so that there is no run with a signal.
    """

    leaves: type[VcpuExit] | None = None
    moves: bool = False
    breaks: bool = False


NOTHING_BEFORE = Before()


def before_a_signal(before: Before) -> Callable[[Condition], Condition]:
    """Decorates a condition under which KVM does this first."""

    def mark(condition: Condition) -> Condition:
        setattr(condition, _BEFORE, before)
        return condition

    return mark


def done_before(condition: Condition) -> Before:
    """What KVM does before it looks for a signal."""
    found: Before = getattr(condition, _BEFORE, NOTHING_BEFORE)
    return found


def circumstance(condition: Callable[..., object]) -> str:
    """Its docstring as the beginning of a sentence."""
    return "While " + " ".join((condition.__doc__ or condition.__name__).split())
