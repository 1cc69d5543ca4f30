# SPDX-License-Identifier: GPL-2.0-only
"""What differs between architectures, behind one interface (docs/add-an-architecture.md)."""

from __future__ import annotations

import importlib
import platform
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from harness.kvm.arch.interface import (
    Architecture,
    NoGuestModeError,
    NoIrqchipError,
    NoNestedGuestError,
)
from harness.kvm.exits import VcpuExit
from harness.kvm.speech import Word

if TYPE_CHECKING:
    from harness.kvm.arch import aarch64, ppc64le, riscv64, x86_64

    # A package is looked up by name, so this is where mypy holds each one to the interface.
    _aarch64: Architecture = aarch64
    _ppc64le: Architecture = ppc64le
    _riscv64: Architecture = riscv64
    _x86_64: Architecture = x86_64

__all__ = [
    "Architecture",
    "NoGuestModeError",
    "NoIrqchipError",
    "NoNestedGuestError",
    "UnsupportedArchitectureError",
    "current",
    "dialogue",
    "fast_paths",
    "supported",
    "word_of",
]

# `uname -m`, and the package.
_PACKAGES = {
    "aarch64": "harness.kvm.arch.aarch64",
    "ppc64le": "harness.kvm.arch.ppc64le",
    "riscv64": "harness.kvm.arch.riscv64",
    "x86_64": "harness.kvm.arch.x86_64",
}


class UnsupportedArchitectureError(Exception):
    """This machine's architecture has no package yet."""


def supported() -> tuple[str, ...]:
    """The architectures (`uname -m`) that have a package."""
    return tuple(_PACKAGES)


def current() -> Architecture:
    """The package of this machine. Raises `UnsupportedArchitectureError`."""
    machine = platform.machine()
    if machine not in _PACKAGES:
        raise UnsupportedArchitectureError(
            f"this machine is {machine}; the suite knows {', '.join(_PACKAGES)}"
        )
    package: Any = importlib.import_module(_PACKAGES[machine])
    return cast(Architecture, package)


def dialogue() -> str:
    """The program that reads and writes by turns as this machine's programs speak.

    Also where there is no package, for lists that are made before a host is looked at.
    """
    return current().SPEECH.program if platform.machine() in _PACKAGES else "mmio"


def fast_paths() -> Mapping[str, str]:
    """`FAST_PATHS` of this machine; none where there is no package, as `dialogue()`."""
    return current().FAST_PATHS if platform.machine() in _PACKAGES else {}


def word_of(found: VcpuExit | None) -> Word | None:
    """The word that a program of this machine says by an exit; None when it is none."""
    told = current().said(found)
    return told.word if told else None
