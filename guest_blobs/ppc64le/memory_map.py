# SPDX-License-Identifier: GPL-2.0-only
"""What the memory map of ppc64le has besides that of all: offsets from where guest RAM lies."""

from __future__ import annotations

from typing import Final

EXTERNAL_INTERRUPT: Final = 0x500
"""Where the processor goes for one: the program vectors."""
PROCESS_TABLE: Final = 0x7000
"""The mode translated: where a process finds its tables, written by the harness."""
PAGE_TABLES: Final = 0x10000
"""The mode translated: the root of the radix tree, 64 KiB, and the table below it, one page."""
