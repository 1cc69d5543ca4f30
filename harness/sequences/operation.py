# SPDX-License-Identifier: GPL-2.0-only
"""What an operation is, and what its arguments are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.model.answers import ModelVcpu
from harness.model.program import MASK
from harness.sequences import arch
from harness.sequences.subject import Subject

Arguments = Mapping[str, Any]
_OPERAND = (1 << 32) - 1


@dataclass(frozen=True)
class AnyNumber:
    """Any number of 64 bits."""


@dataclass(frozen=True)
class OneOf:
    """One of some values."""

    values: Sequence[Any]


@dataclass(frozen=True)
class AnyScript:
    """A script of so many steps at most, and its end."""

    most: int = 8


Domain = AnyNumber | OneOf | AnyScript


def belongs(value: Any, domain: Domain) -> bool:
    """Whether a value, of a file perhaps, is one that may be drawn from it."""
    if isinstance(domain, OneOf):
        return any(value == each and type(value) is type(each) for each in domain.values)
    if isinstance(domain, AnyNumber):
        return _is_number(value, MASK)
    steps = arch.current().PROGRAM.steps
    return (
        isinstance(value, (list, tuple))
        and all(isinstance(each, (list, tuple)) and len(each) == 3 for each in value)
        and all(
            name in steps and _is_number(operand, _OPERAND) and _is_number(number, MASK)
            for name, operand, number in value
        )
        and [steps[each[0]].last for each in value] == [False] * (len(value) - 1) + [True]
        and len(value) <= domain.most + 1
    )


def _is_number(value: Any, most: int) -> bool:
    return type(value) is int and 0 <= value <= most


def _always(model: ModelVcpu) -> bool:
    return True


@dataclass(frozen=True)
class Operation:
    """Something that userspace does: `possible` in some states of the model, with `arguments`.

    `needs` is what a VM must have for it, `weight` how often it is drawn beside others. `do`
    raises `Violation`, and what the harness raises where the host does not do its part.
    """

    do: Callable[[Subject, Arguments], None]
    possible: Callable[[ModelVcpu], bool] = _always
    arguments: Mapping[str, Domain] = field(default_factory=dict)
    needs: str = ""
    weight: int = 1
