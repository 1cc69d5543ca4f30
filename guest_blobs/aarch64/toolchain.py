# SPDX-License-Identifier: GPL-2.0-only
"""How the arm64 programs are built."""

from __future__ import annotations

from guest_blobs.memory_map import SECOND_PROGRAM
from guest_blobs.toolchain import Placement, Toolchain

_FLAGS = ("-march=armv8-a",)

TOOLCHAIN = Toolchain(
    target="aarch64-unknown-none",
    modes={
        "bare": (*_FLAGS, "-DMODE_BARE"),
        "user": (*_FLAGS, "-DMODE_USER"),
        "paged": (*_FLAGS, "-DMODE_PAGED"),
    },
    placements={
        # A processor that PSCI starts is in EL1 with its MMU off, whatever the other one is.
        "second_processor_ap": Placement(("bare",), SECOND_PROGRAM, SECOND_PROGRAM + 0x1000),
        "script": Placement(("paged",)),
    },
)
