# SPDX-License-Identifier: GPL-2.0-only
"""What the memory map of riscv64 has besides that of all: offsets from where guest RAM lies."""

from __future__ import annotations

from typing import Final

IMSIC: Final = 0x10F8
"""The last data word: the harness writes 1 where the vCPU has one (a controller of AIA)."""
PAGE_TABLES: Final = 0x10000
"""The root of Sv39, one page, written by the harness."""
KERNEL_ALIAS: Final = 0x40000000
"""Virtual, in the mode user: the same RAM as at 0, for the privileged part of a program."""
