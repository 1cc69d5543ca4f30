# SPDX-License-Identifier: GPL-2.0-only
"""What the console of a machine says about its end."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from harness.plain_text import plain

LINES = 40
_MOST_BYTES = 1 << 20
# The texts of kernel/panic.c, lib/bug.c, kernel/watchdog.c, kernel/hung_task.c, mm and arch/x86.
_PANIC = re.compile(r"Kernel panic - not syncing|---\[ end Kernel panic")
_GRAVE = re.compile(
    r"\bBUG: |\bOops: |general protection fault|watchdog: .*(?:soft|hard) lockup|hard LOCKUP"
    r"|rcu: .*detected stalls|blocked for more than \d+ seconds|unable to handle|double fault"
)
# Why a module is not taken: kernel/module/main.c and version.c (kernel/module.c until 5.18). That
# it is unsigned or built out of the tree is said of modules that do load.
_REFUSAL = re.compile(
    r"version magic|disagrees about version|no symbol version|Unknown symbol"
    r"|exports duplicate symbol|Exec format|[Ii]nvalid (?:module|ELF|relocation)"
    r"|module_layout|key was rejected|SVM (?:not supported|disabled)|[Nn]o hardware support"
)
_TIME = re.compile(r"^\[ *[0-9.]+\](?:\[[ A-Z0-9]+\])? *")


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
    for pattern in (_PANIC, _GRAVE):
        for line in lines:
            if pattern.search(line):
                return _TIME.sub("", line).strip()
    return ""


def refusal(lines: Sequence[str]) -> str:
    """The last line in which the kernel said why it does not take a module; else an empty text."""
    for line in reversed(lines):
        if _TIME.match(line) and _REFUSAL.search(line):
            return _TIME.sub("", line).strip()
    return ""
