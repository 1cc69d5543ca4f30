# SPDX-License-Identifier: GPL-2.0-only
"""What the harness wrote before it ended its process.

A KVM_RUN that nothing brings back keeps its thread for ever; then the harness appends one line to
the file that KVM_CONFORMANCE_LAST_WORDS names, ``$PYTEST_CURRENT_TEST: sentence``, and ends the
process. Here the sentences are found again by the test that ran.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from harness.reporting.identity import IdentityError, result_id

VARIABLE = "KVM_CONFORMANCE_LAST_WORDS"

#: PYTEST_CURRENT_TEST is the node id and the phase in brackets.
_LINE = re.compile(r"(?P<nodeid>.+?) \((?:setup|call|teardown)\): (?P<sentence>.+)")

#: What stands in those that accuse nobody: native/last_words.h.
NOT_THE_KERNEL = "says nothing about the kernel."


def read(path: Path) -> dict[str, str]:
    """Result id -> sentence. Empty where there is no such file; other lines are left out."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    found: dict[str, str] = {}
    for match in filter(None, map(_LINE.fullmatch, text.splitlines())):
        try:
            found[result_id(match["nodeid"])] = match["sentence"].strip()
        except IdentityError:
            continue
    return found


def accuse(words: str) -> bool:
    """Whether there are words, and they speak against the kernel."""
    return bool(words) and NOT_THE_KERNEL not in words


def of_test(identifier: str) -> str:
    """The sentence on a test of this run, or an empty text."""
    path = os.environ.get(VARIABLE)
    return read(Path(path)).get(identifier, "") if path else ""
