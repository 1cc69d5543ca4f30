# SPDX-License-Identifier: GPL-2.0-only
"""The launcher's exit codes, apart from pytest's, which mean other things in kernel CI.

Never 2 or 3: kselftest reads them as XFAIL and XPASS. 64, 70, 71 and 73 are those of sysexits.h.
"""

from __future__ import annotations

import enum
import signal


class Exit(enum.IntEnum):
    """What a run of ``kvm-conformance`` says to its caller."""

    HELD = 0
    FAILED = 1
    NOTHING_TESTED = 4
    USAGE = 64
    SUITE_ERROR = 70
    LOST_VM = 71
    CANNOT_WRITE = 73
    SIGINT = 130
    SIGTERM = 143

    @classmethod
    def of_signal(cls, number: int) -> Exit:
        """That of a run which this signal stopped; SIGHUP, of a closed terminal, is as SIGTERM."""
        return cls.SIGINT if number == signal.SIGINT else cls.SIGTERM


def untold(code: int) -> int:
    """The code where what there was to tell could not be written.

    A good end is worth nothing to who was not told; every other code says already what is wrong.
    """
    return Exit.CANNOT_WRITE if code in (Exit.HELD, Exit.NOTHING_TESTED) else code
