# SPDX-License-Identifier: GPL-2.0-only
"""What this KVM said that it can do, and what not: for whoever compares the answers of a run.

A test is skipped because of such an answer. One that differs from test to test (a library between
the suites and the kernel, a defect) tells nothing about the host.
"""

from __future__ import annotations

from collections.abc import Mapping

OFFERED, DENIED = "offered", "denied"
_told: set[tuple[str, bool]] = set()


def note(what: str, offered: bool) -> None:
    """One answer; the words of `what` are the same wherever the question is."""
    _told.add((what, offered))


def begin() -> None:
    """Forgets what was said."""
    _told.clear()


def said() -> Mapping[str, list[str]]:
    """What was OFFERED and what was DENIED since `begin()`."""
    return {
        word: sorted(what for what, offered in _told if offered is yes)
        for word, yes in ((OFFERED, True), (DENIED, False))
    }
