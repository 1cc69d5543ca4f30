# SPDX-License-Identifier: GPL-2.0-only
"""The architecture of this machine, for sequences."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, cast

from harness.kvm.arch import current as current_architecture
from harness.sequences.arch.interface import ScriptedArchitecture

if TYPE_CHECKING:
    from harness.sequences.arch import aarch64, ppc64le, riscv64, x86_64

    # A package is looked up by name, so this is where mypy holds each one to the interface.
    _aarch64: ScriptedArchitecture = aarch64
    _ppc64le: ScriptedArchitecture = ppc64le
    _riscv64: ScriptedArchitecture = riscv64
    _x86_64: ScriptedArchitecture = x86_64


def is_there() -> bool:
    """Whether this machine's architecture has a package here."""
    return importlib.util.find_spec(f"{__name__}.{current_architecture().NAME}") is not None


def current() -> ScriptedArchitecture:
    """The package of this machine. Raises `UnsupportedArchitectureError`."""
    package: Any = importlib.import_module(f"{__name__}.{current_architecture().NAME}")
    return cast(ScriptedArchitecture, package)
