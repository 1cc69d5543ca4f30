# SPDX-License-Identifier: GPL-2.0-only
"""How the ppc64le programs are built."""

from __future__ import annotations

from guest_blobs.memory_map import MAILBOX
from guest_blobs.ppc64le.memory_map import EXTERNAL_INTERRUPT
from guest_blobs.toolchain import Placement, Toolchain

_FLAGS = ("-mcpu=pwr9",)

TOOLCHAIN = Toolchain(
    target="powerpc64le-unknown-none-elf",
    modes={
        "real": (*_FLAGS, "-DMODE_REAL"),
        "translated": (*_FLAGS, "-DMODE_TRANSLATED"),
    },
    placements={
        "script": Placement(("translated",)),
        "vectors": Placement(("real",), EXTERNAL_INTERRUPT, MAILBOX),
    },
)
