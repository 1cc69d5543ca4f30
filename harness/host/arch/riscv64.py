# SPDX-License-Identifier: GPL-2.0-only
"""riscv64."""

from __future__ import annotations

from harness.host.arch import Words

WORDS = Words(
    loading="Load the module (`modprobe kvm`), on a processor with the hypervisor extension",
    # arch/riscv/kernel/traps.c, die()
    faults=(r"Oops - (?!BUG)\w[\w ]*\[#\d+\]", r"Insufficient stack space to handle exception!"),
)
