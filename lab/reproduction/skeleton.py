# SPDX-License-Identifier: GPL-2.0-only
"""What every program has: a header, and pieces of C that stand in files, by name."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path

from harness.plain_text import line

_BLOCK = re.compile(r"^//@ (\w+)(?:: (.*))?\n", re.M)
_HEAD = "head"


def header(claim: str, sentence: str, source: str, kernel: str) -> str:
    """The comment that a program begins with."""
    lines = [
        "SPDX-License-Identifier: GPL-2.0-only",
        "",
        *_wrapped(f"{claim or 'KVM'}: {source}"),
        "",
        *_wrapped(f"What failed{f', on {kernel}' if kernel else ''}: {sentence}"),
        "",
        "Build: cc -O1 -Wall -Wextra -o reproducer reproducer.c -lpthread",
        "Exit codes: 0 KVM did what it must, 1 it did not, 2 nothing can be said here.",
    ]
    return "\n".join(["/*", *(f" * {each}".rstrip() for each in lines), " */"])


def _wrapped(text: str) -> list[str]:
    """Of a file or a machine, so it cannot end the comment."""
    return textwrap.wrap(line(text).replace("*/", "* /"), 92)


def head() -> str:
    """What both kinds of programs begin with."""
    return blocks(_HEAD)[_HEAD].lstrip("\n").rstrip("\n")


def blocks(name: str) -> dict[str, str]:
    """The blocks of a file by name, in order; what each needs stands in its first line."""
    text = (Path(__file__).resolve().parent / f"{name}.c.in").read_text(encoding="ascii")
    parts = _BLOCK.split(text)[1:]
    return {
        name: f"{needs or ''}\n{text}"
        for name, needs, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    }


def needed(every: Mapping[str, str], wanted: set[str]) -> list[str]:
    """The texts of these blocks and of those that they need, in the file's order."""
    found, left = set[str](), [name for name in wanted if name in every]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += every[name].partition("\n")[0].split()
    return [text.partition("\n")[2].strip("\n") for name, text in every.items() if name in found]
