# SPDX-License-Identifier: GPL-2.0-only
"""What this KVM said that it can do, and what not: for whoever compares the answers of a run.

A test is skipped because of such an answer. One that differs from test to test (a library between
the suites and the kernel, a defect) tells nothing about the host.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

#: The property of a result that has them.
ANSWERS = "kvm_answers"
_told: defaultdict[str, set[int]] = defaultdict(set)


def note(question: str, answer: int) -> None:
    """One answer; 0 is no. A question has the same words wherever it is asked."""
    _told[question].add(answer)


def begin() -> None:
    """Forgets what was said."""
    _told.clear()


def said() -> Mapping[str, list[int]]:
    """The answers to each question since `begin()`: more than one only where KVM is at odds."""
    return {question: sorted(answers) for question, answers in sorted(_told.items())}
