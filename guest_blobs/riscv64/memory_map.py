# SPDX-License-Identifier: GPL-2.0-only
"""What the memory map has on riscv64 only: offsets from where guest RAM lies, as in the map of all.

The last two are addresses in the window without memory.
"""

from __future__ import annotations

from typing import Final

IMSIC: Final = 0x10F8
"""The last data word: the harness writes 1 where the vCPU has one (a controller of AIA)."""
PAGE_TABLES: Final = 0x10000
"""The root of Sv39, one page, written by the harness."""
KERNEL_ALIAS: Final = 0x40000000
"""Virtual, in the mode user: the same RAM as at 0, for the privileged part of a program."""
SYNC_WORD: Final = 0xD8000
"""A store there says sync."""
DONE_WORD: Final = 0xD8008
"""A store there is a program's last exit."""
