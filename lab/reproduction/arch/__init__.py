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
from harness.sequences.subject import Setting


class UntoldError(Exception):
    """What no C program is written for; the text names it."""


class ToldArchitecture(Protocol):
    """The names that a module of `lab.reproduction.arch` offers."""

    CONSTANTS: str
    """C: addresses that the skeleton's blocks name."""

    RESULTS: tuple[str, ...]
    """Steps whose result the program logs."""

    LOG: int
    """Where the results of steps stand, 8 bytes each."""

    def set_up(self, setting: Setting) -> tuple[str, set[str]]:
        """C: `set_up()` puts the vCPU of such a VM at the guest's first instruction.

        And the blocks that it needs. Raises `UntoldError`.
        """

    def operations(self) -> Mapping[str, Callable[[Any, Arguments], None]]:
        """Those that only it has, each a function of the `Telling` and the arguments."""

    def other_exit(
        self, tell: Any, wanted: VcpuExit, how: str, answer: int, *, refuse: bool
    ) -> bytes:
        """An exit that only it has, in C; what passes. Raises `UntoldError`."""

    def assembly(self, scripts: Sequence[Sequence[Step]]) -> list[str]:
        """All scripts, one behind the other; the last one begins anew. Raises `UntoldError`."""


def here() -> ToldArchitecture:
    """This machine's. Raises `UnsupportedArchitectureError` and `UntoldError`."""
    name = current().NAME
    try:
        return cast(ToldArchitecture, importlib.import_module(f"{__name__}.{name}"))
    except ModuleNotFoundError:
        raise UntoldError(f"no C program is written for {name}") from None
