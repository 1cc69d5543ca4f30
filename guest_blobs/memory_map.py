# SPDX-License-Identifier: GPL-2.0-only
"""The memory map that every guest program shares, as numbers for the host.

Addresses are offsets in bytes from where guest RAM lies. Mailbox words are 64 bits wide and in the
host's byte order; 16-bit and 32-bit programs write the low half only, so a host reads that. What an
architecture has besides stands in its folder's ``memory_map``. Its ``program.inc`` repeats the
numbers of both, and a test compares them.
"""

from __future__ import annotations

from typing import Final

MAILBOX: Final = 0x1000
"""Where the mailbox begins."""
MAILBOX_SIZE: Final = 0x1000
"""Bytes of it: all that a program tells the host."""
HEARTBEAT: Final = 0x1000
"""Word: + 1 each turn of the program's loop."""
STOP: Final = 0x1008
"""Word: the host writes 1, and the program leaves: its last word is DONE_STOPPED."""
PHASE: Final = 0x1010
"""Word: where the program is. Each source says what its numbers mean."""
TICKS: Final = 0x1018
"""Word: interrupts taken."""
DATA: Final = 0x1020
"""The first of DATA_WORDS words in and out. Each source says which."""
DATA_WORDS: Final = 28

SECOND_PROGRAM: Final = 0x2000
"""Where the second processor starts."""
STACK_TOP: Final = 0x4000
SECOND_STACK_TOP: Final = 0x5000
PROGRAM: Final = 0x8000
"""Where a program is loaded and entered; it ends below PROGRAM_END."""
PROGRAM_END: Final = 0x10000
RAM_SIZE: Final = 0x80000
"""Bytes of RAM slot 0, from 0 on. Above the program, it is the architecture's."""
MMIO_BASE: Final = 0xD0000
"""No memory behind it, up to MMIO_END: an access leaves the guest."""
MMIO_END: Final = 0xE0000
SYNC_WORD: Final = 0xD8000
"""Of programs that speak by MMIO: a store there says sync."""
DONE_WORD: Final = 0xD8008
"""Of the same: a store there is the last exit."""
EXTRA_RAM: Final = 0x400000
"""Where a test adds RAM when it needs many pages. A 16-bit program does not reach it."""

DONE: Final = 0
"""With a program's last exit: it came to its ordinary end."""
DONE_STOPPED: Final = 1
"""The program saw the stop word."""
DONE_UNEXPECTED: Final = 2
"""What the program has no handler for came, and it could tell."""


def data_word(index: int) -> int:
    """Address of data[index]; ValueError outside 0 to DATA_WORDS - 1."""
    if not 0 <= index < DATA_WORDS:
        raise ValueError(f"data word {index}: there are words 0 to {DATA_WORDS - 1}")
    return DATA + 8 * index
