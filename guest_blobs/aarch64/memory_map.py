# SPDX-License-Identifier: GPL-2.0-only
"""What the memory map of arm64 has besides that of all: offsets from where guest RAM lies."""

from __future__ import annotations

from typing import Final

PAGE_TABLES: Final = 0x10000
"""Two pages of 4 KiB, written by the harness: levels 2 and 3."""
