# SPDX-License-Identifier: GPL-2.0-only
"""Text that others wrote, made harmless for a terminal: a kernel under test writes some of it."""

from __future__ import annotations

import re

# Escape sequences of terminals (ECMA-48: CSI, OSC and the like, two-byte ones), taken out whole.
_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]"
)
# Every other control character but tab and newline, what turns the direction of text (Unicode's
# Bidi_Control), and the line separators that only some programs know.
_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"
)
_SURROGATES = re.compile("[\ud800-\udfff]")  # no file can hold them


def plain(text: str) -> str:
    """The text without escape sequences and control characters; newlines and tabs stay."""
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", _SEQUENCES.sub("", text)))


def line(text: str) -> str:
    """The same in one line."""
    return " ".join(plain(text).split())
