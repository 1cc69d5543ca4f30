# SPDX-License-Identifier: GPL-2.0-only
"""A sequence as data: what the VM has, and what was done, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from harness.kvm.arch import current
from harness.kvm.exits import reason_name
from harness.kvm.system import System
from harness.kvm.unmet import CONTENT, UnmetError
from harness.model.answers import ModelVcpu
from harness.sequences import arch
from harness.sequences.operation import belongs
from harness.sequences.operations import operations
from harness.sequences.setting import Setting
from harness.sequences.subject import Subject, lacking
from harness.sequences.violation import Violation
from harness.shapes import from_json


@dataclass(frozen=True)
class Done:
    """An operation by its name, and its arguments."""

    operation: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Recorded:
    """A sequence. `of_json` reads what `as_json` writes."""

    setting: Setting
    done: tuple[Done, ...]

    def as_json(self) -> bytes:
        """One line."""
        return msgspec.json.encode(self)

    @classmethod
    def of_elsewhere(cls, text: bytes) -> Recorded:
        """One of another architecture, whose operations are not known here. Raises ValueError.

        What else stands there, such as what it broke, is left out.
        """
        return from_json(text, cls, others=True)

    @classmethod
    def of_json(cls, text: bytes) -> Recorded:
        """Raises ValueError for what is no sequence that could be played here."""
        found = cls.of_elsewhere(text)
        chips, features = current().IRQCHIPS, found.setting.features
        if found.setting.irqchip not in chips:
            raise ValueError(f"irqchip {found.setting.irqchip!r}: one of {', '.join(chips)}")
        if unknown := set(features) - set(arch.current().FEATURES):
            raise ValueError(f"no feature {min(unknown)!r} of a VM")
        for each in found.done:
            _check(each)
        return found


def _check(done: Done) -> None:
    """Raises ValueError."""
    if done.operation not in operations():
        raise ValueError(f"no operation {done.operation!r}; there are: {', '.join(operations())}")
    wanted = operations()[done.operation].arguments
    if done.arguments.keys() != wanted.keys():
        raise ValueError(
            f"the operation {done.operation} takes {', '.join(wanted) or 'no arguments'}, and not "
            f"{', '.join(done.arguments) or 'none'}"
        )
    for name, value in done.arguments.items():
        if not belongs(value, wanted[name]):
            raise ValueError(f"the operation {done.operation}: {name} cannot be {value!r}")


class Listener:
    """Is told of sequences as they are played; this one does nothing."""

    def begins(self, setting: Setting) -> None:
        """One begins, on a fresh VM."""

    def does(self, done: Done, model: ModelVcpu) -> None:
        """An operation is about to be done to a vCPU that stands so."""


NOBODY = Listener()


class Player:
    """Plays operations on a fresh VM, and keeps what it played."""

    def __init__(self, system: System, setting: Setting, told: Listener = NOBODY) -> None:
        told.begins(setting)
        self.subject = Subject(system, setting)
        self._done: list[Done] = []
        self._told = told
        self.over = False
        """Whether nothing can be said any more: the VM's dirty ring is about to be full.

        KVM_RUN may then leave at any time (api.rst 8.29). A KVM that interprets its guest notes
        each store of it, and not each page.
        """

    @property
    def recorded(self) -> Recorded:
        """What was done so far, the operation under way included."""
        return Recorded(self.subject.setting, tuple(self._done))

    def possible(self, name: str) -> bool:
        """Whether the operation is possible now."""
        operation = operations()[name]
        subject = self.subject
        if self.over or name in lacking(subject.system):
            return False
        return subject.setting.has(operation.needs) and operation.possible(subject.model)

    def do(self, name: str, arguments: Mapping[str, Any]) -> None:
        """What this KVM cannot do is not refused. Raises `Violation`."""
        if arguments.get("refuse") and "refuse" in lacking(self.subject.system):
            arguments = {**arguments, "refuse": False}
        self._done.append(Done(name, dict(arguments)))
        self._told.does(self._done[-1], self.subject.model)
        try:
            self._do(name, arguments)
        except Violation:
            reason = reason_name(self.subject.guest.vcpu.run_page.exit_reason)
            if not self._is_over() or reason != "KVM_EXIT_DIRTY_RING_FULL":
                raise
        else:
            self._is_over()

    def _is_over(self) -> bool:
        self.over = self.over or self.subject.guest.vcpu.dirty_ring_is_nearly_full()
        return self.over

    def _do(self, name: str, arguments: Mapping[str, Any]) -> None:
        try:
            operations()[name].do(self.subject, arguments)
        except Violation:
            raise
        except AssertionError as error:  # of the harness: a run that never ends, for one
            unmet = error if isinstance(error, UnmetError) else UnmetError("", "", CONTENT)
            raise Violation(
                "signals.interrupts_guest",
                str(error),
                unmet.kind,
                unmet.of,
                circumstance=self.subject.where(),
                value=unmet.value,
                names=unmet.names,
            ) from None

    def end(self) -> None:
        """Closes the VM, which then is gone. Raises `Violation`."""
        self.subject.end()

    def close(self) -> None:
        """Closes the VM."""
        self.subject.close()


def play(system: System, recorded: Recorded, told: Listener = NOBODY) -> Violation | None:
    """Plays it again; what is no longer possible is left out. What it broke, if anything."""
    player = Player(system, recorded.setting, told)
    try:
        for each in recorded.done:
            if player.possible(each.operation):
                player.do(each.operation, each.arguments)
        player.end()
    except Violation as error:
        return error
    finally:
        player.close()
    return None
