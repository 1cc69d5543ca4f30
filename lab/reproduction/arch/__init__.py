# SPDX-License-Identifier: GPL-2.0-only
"""What a C program needs of an architecture, by its name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

from harness.kvm.arch import current
from harness.kvm.exits import VcpuExit
from harness.model.program import Step
from harness.sequences.operation import Arguments
from harness.sequences.sequence import Recorded
from harness.sequences.setting import Setting


class UntoldError(Exception):
    """What no C program is written for; the text names it."""


class ToldArchitecture(Protocol):
    """The names that a module of `lab.reproduction.arch` offers."""

    LOG: int
    """Where the results of steps stand, 8 bytes each."""

    COUNTED: Mapping[str, str]
    """The kinds of events of the model, and the constant in C that says where the guest counts."""

    MORE_LOOKS: Mapping[str, str]
    """Blocks that look at more than most programs need, each a function of one argument: by the
    word in a sentence that says that something of it changed."""

    SPECIAL_CALLS: Mapping[str, tuple[str, str]]
    """Calls of which the arguments are not told as they are: C by their names, and its block."""

    def reading(self, name: str, vcpu: str) -> tuple[str, str]:
        """C that reads a number of a vCPU, by its name in `Guest.whole`, and its block; or none."""

    def disassembled(self, code: bytes, address: int, mode: str) -> str:
        """The bytes as C, each instruction a row, where that can be told."""

    def interrupted(self, recorded: Recorded) -> bool:
        """Whether the guest needs tables: for exceptions, interrupts or NMIs."""

    def constants(self, *, tables: bool) -> str:
        """C: addresses that the skeleton's blocks name."""

    def results(self, *, tables: bool) -> tuple[str, ...]:
        """Steps whose result the program logs."""

    def handlers(self, labels: Mapping[str, int]) -> Mapping[int, int]:
        """The address of each handler by its vector, of labels' places in the guest's code."""

    def set_up(self, setting: Setting, handlers: Mapping[int, int]) -> tuple[str, set[str]]:
        """C: `set_up()` puts the vCPU of such a VM at the guest's first instruction.

        With tables, if there are handlers. And the blocks that it needs. Raises `UntoldError`.
        """

    def operations(self) -> Mapping[str, Callable[[Any, Arguments], None]]:
        """Those that only it has, each a function of the `Telling` and the arguments."""

    def other_exit(
        self, tell: Any, wanted: VcpuExit, how: str, answer: int, *, refuse: bool
    ) -> bytes:
        """An exit that only it has, in C; what passes. Raises `UntoldError`."""

    def assembly(
        self, scripts: Sequence[Sequence[Step]], *, tables: bool, irqchip: bool
    ) -> list[str]:
        """All scripts, one behind the other, and the handlers."""


def here() -> ToldArchitecture:
    """This machine's. Raises `UnsupportedArchitectureError` and `UntoldError`."""
    name = current().NAME
    try:
        return cast(ToldArchitecture, importlib.import_module(f"{__name__}.{name}"))
    except ModuleNotFoundError:
        raise UntoldError(f"no C program is written for {name}") from None
