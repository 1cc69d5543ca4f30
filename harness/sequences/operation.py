# SPDX-License-Identifier: GPL-2.0-only
"""What an operation is, and what its arguments are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.model.answers import ModelVcpu
from harness.sequences.subject import Subject

Arguments = Mapping[str, Any]


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
