# SPDX-License-Identifier: GPL-2.0-only
"""How the x86-64 programs are built."""

from __future__ import annotations

from guest_blobs.memory_map import SECOND_PROGRAM
from guest_blobs.toolchain import Placement, Toolchain
from guest_blobs.x86_64.memory_map import SMI_HANDLER

TOOLCHAIN = Toolchain(
    # One target for the three modes: the sources switch by .code16, .code32 and .code64.
    target="x86_64-unknown-none",
    modes={
        "real": ("-DMODE_REAL",),
        "protected": ("-DMODE_PROTECTED",),
        "long": ("-DMODE_LONG",),
    },
    placements={
        # A program of the host, and where Linux has those of 32 bits by custom.
        "compat_caller": Placement(("protected",), 0x08048000, 0x08049000),
        "lowered": Placement(("long",)),
        "mmio_forms": Placement(("protected", "long")),
        "nested_svm": Placement(("long",)),
        "pages": Placement(("protected", "long")),
        "reached": Placement(("protected", "long")),
        "script": Placement(("long",)),
        "second_processor_ap": Placement(("real",), SECOND_PROGRAM, SECOND_PROGRAM + 0x1000),
        "task_priority": Placement(("long",)),
        "smi": Placement(("real",), SMI_HANDLER, SMI_HANDLER + 0x7E00),
    },
)
