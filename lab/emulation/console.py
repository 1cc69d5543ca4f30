# SPDX-License-Identifier: GPL-2.0-only
"""What the console of a machine says about its end."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path

from harness.kernel_texts import has_time, is_grave, is_panic, without_time
from harness.plain_text import plain
from lab.emulation import arch

LINES = 40
_MOST_BYTES = 1 << 20
# Why a module is not taken: kernel/module/main.c and version.c (kernel/module.c until 5.18). That
# it is unsigned or built out of the tree is said of modules that do load.
_REFUSALS = (
    r"version magic|disagrees about version|no symbol version|Unknown symbol"
    r"|exports duplicate symbol|Exec format|[Ii]nvalid (?:module|ELF|relocation)"
    r"|module_layout|key was rejected|[Nn]o hardware support"
)


@functools.cache
def _refusals() -> re.Pattern[str]:
    own = (architecture.refusals for architecture in arch.known().values())
    return re.compile("|".join((_REFUSALS, *filter(None, own))))


def last_lines(path: Path, count: int = LINES) -> list[str]:
    """The last lines of a console's file, without escape sequences; empty if there is none."""
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _MOST_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    lines = [line.rstrip() for line in plain(text).split("\n")]
    return [line for line in lines if line][-count:]


def panic(lines: Sequence[str]) -> str:
    """The line in which the kernel said what is wrong: of a panic, else of something grave."""
    texts = [without_time(line) for line in lines]
    for tells in (is_panic, is_grave):
        for text in texts:
            if tells(text):
                return text
    return ""


def refusal(lines: Sequence[str]) -> str:
    """The last line in which the kernel said why it does not take a module; else an empty text."""
    for line in reversed(lines):
        if has_time(line) and _refusals().search(line):
            return without_time(line)
    return ""
