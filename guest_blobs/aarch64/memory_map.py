# SPDX-License-Identifier: GPL-2.0-only
"""What the memory map has on arm64 only: offsets from where guest RAM lies, as in the map of all.

The last two are addresses in the window without memory.
"""

from __future__ import annotations

from typing import Final

PAGE_TABLES: Final = 0x10000
"""Two pages of 4 KiB, written by the harness: levels 2 and 3."""
SYNC_WORD: Final = 0xD8000
"""A store there says sync."""
DONE_WORD: Final = 0xD8008
"""A store there is a program's last exit."""
