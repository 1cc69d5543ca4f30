# SPDX-License-Identifier: GPL-2.0-only
"""How the riscv64 programs are built."""

from __future__ import annotations

from guest_blobs.memory_map import SECOND_PROGRAM
from guest_blobs.toolchain import Placement, Toolchain

# No compressed instructions: each is 4 bytes, whatever it is.
_FLAGS = ("-march=rv64ima", "-mabi=lp64", "-mno-relax")

TOOLCHAIN = Toolchain(
    target="riscv64-unknown-none-elf",
    modes={
        "bare": (*_FLAGS, "-DMODE_BARE"),
        "user": (*_FLAGS, "-DMODE_USER"),
        "paged": (*_FLAGS, "-DMODE_PAGED"),
    },
    placements={
        "script": Placement(("paged",)),
        "sender": Placement(("bare",), SECOND_PROGRAM + 0x800, SECOND_PROGRAM + 0x1000),
        "second_processor_ap": Placement(("bare",), SECOND_PROGRAM, SECOND_PROGRAM + 0x800),
    },
)
