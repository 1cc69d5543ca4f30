# SPDX-License-Identifier: GPL-2.0-only
"""What a sequence has broken, and what a program looks for instead."""

from __future__ import annotations

import errno
from collections.abc import Collection, Sequence

from harness.kvm.exits import IrqWindowOpen, reason_of
from harness.kvm.run import RunResult
from harness.kvm.unmet import CONTENT, UnmetError, kind_of_exit
from harness.model.answers import AllowedAnswer


class Violation(UnmetError):
    """KVM did what the model does not allow; `claim` is what it breaks.

    The `sentence` follows the `circumstance`, if there is one; the rest is for a program.
    """

    def __init__(
        self,
        claim: str,
        sentence: str,
        kind: str = CONTENT,
        of: object = None,
        *,
        circumstance: str = "",
        value: int = 0,
        names: Collection[str] = (),
    ) -> None:
        super().__init__(circumstance, sentence, kind, of, value=value, names=names)
        self.claim = claim


def expected_of(allowed: Sequence[AllowedAnswer], result: RunResult) -> tuple[str, int]:
    """What a program looks for instead: kind and value, if there is only one."""
    first = allowed[0]
    if len(allowed) > 1:
        return CONTENT, 0
    if not (first.window or first.exchange):
        return "errno", errno.EINTR
    wanted = reason_of(IrqWindowOpen if first.exchange is None else type(first.exchange.exit))
    return kind_of_exit(result, wanted), wanted


def first_wrong_word(found: bytes, wanted: bytes) -> int:
    """Where it begins, of two texts that differ."""
    return next(place for place in range(len(wanted)) if found[place] != wanted[place]) & ~3
