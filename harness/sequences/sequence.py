# SPDX-License-Identifier: GPL-2.0-only
"""A sequence as data: what the VM has, and what was done, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from harness.kvm.system import System
from harness.sequences.operations import operations
from harness.sequences.subject import Setting, Subject, Violation


@dataclass(frozen=True)
class Done:
    """An operation by its name, and its arguments."""

    operation: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Recorded:
    """A sequence. `of_json` reads what `as_json` writes."""

    setting: Setting
    done: Sequence[Done]

    def as_json(self) -> bytes:
        """One line."""
        return msgspec.json.encode(self)

    @classmethod
    def of_json(cls, text: bytes) -> Recorded:
        """Raises ValueError for what is no sequence, also of an operation that is not known."""
        found = msgspec.json.decode(text, type=cls)
        unknown = [each.operation for each in found.done if each.operation not in operations()]
        if unknown:
            raise ValueError(f"no operation {unknown[0]}; there are: {', '.join(operations())}")
        return found


class Player:
    """Plays operations on a fresh VM, and keeps what it played."""

    def __init__(self, system: System, setting: Setting) -> None:
        self.subject = Subject(system, setting)
        self._done: list[Done] = []

    @property
    def recorded(self) -> Recorded:
        """What was done so far, the operation under way included."""
        return Recorded(self.subject.setting, tuple(self._done))

    def possible(self, name: str) -> bool:
        """Whether the operation is possible now."""
        operation = operations()[name]
        subject = self.subject
        return subject.setting.has(operation.needs) and operation.possible(subject.model)

    def do(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Raises `Violation`."""
        self._done.append(Done(name, dict(arguments)))
        try:
            operations()[name].do(self.subject, arguments)
        except Violation:
            raise
        except AssertionError as error:  # of the harness: a run that never ends, for one
            said = f"{self.subject.where()}, {error}"
            raise Violation("signals.interrupts_guest", said) from None

    def close(self) -> None:
        """Closes the VM."""
        self.subject.close()


def play(system: System, recorded: Recorded) -> Violation | None:
    """Plays it again; what is no longer possible is left out. What it broke, if anything."""
    player = Player(system, recorded.setting)
    try:
        for each in recorded.done:
            if player.possible(each.operation):
                player.do(each.operation, each.arguments)
    except Violation as error:
        return error
    finally:
        player.close()
    return None
