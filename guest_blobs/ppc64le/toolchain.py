# SPDX-License-Identifier: GPL-2.0-only
"""How the ppc64le programs are built."""

from __future__ import annotations

from guest_blobs.toolchain import Toolchain

_FLAGS = ("-mcpu=pwr9",)

TOOLCHAIN = Toolchain(
    target="powerpc64le-unknown-none-elf",
    modes={
        "real": (*_FLAGS, "-DMODE_REAL"),
        "translated": (*_FLAGS, "-DMODE_TRANSLATED"),
    },
)
