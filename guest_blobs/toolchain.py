# SPDX-License-Identifier: GPL-2.0-only
"""How an architecture's programs are built: a folder's toolchain.py says it as data."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from guest_blobs import FOLDER, memory_map


@dataclass(frozen=True)
class Placement:
    """Where a program that is not an ordinary one goes: its modes, and its room in guest RAM.

    ``load_address`` and ``end`` are offsets from the base of guest RAM.
    """

    modes: tuple[str, ...]
    load_address: int = memory_map.PROGRAM
    end: int = memory_map.PROGRAM_END


@dataclass(frozen=True)
class Toolchain:
    """What the tools are told.

    ``target`` is clang's word, ``modes`` maps a mode's name to its compiler flags, ``base`` is the
    address of guest RAM, and ``placements`` has the programs that differ from the ordinary: every
    mode, at PROGRAM.
    """

    target: str
    modes: Mapping[str, tuple[str, ...]]
    base: int = 0
    placements: Mapping[str, Placement] = field(default_factory=dict)

    def placement(self, program: str) -> Placement:
        """Where a program goes."""
        return self.placements.get(program, Placement(tuple(self.modes)))


@functools.cache
def known() -> Mapping[str, Toolchain]:
    """Every architecture with programs, by the name of its folder."""
    names = sorted(path.parent.name for path in FOLDER.glob("*/toolchain.py"))
    return {
        name: importlib.import_module(f"guest_blobs.{name}.toolchain").TOOLCHAIN for name in names
    }
