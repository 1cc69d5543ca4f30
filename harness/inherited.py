# SPDX-License-Identifier: GPL-2.0-only
"""What a process inherits of its parent's way with signals, undone."""

from __future__ import annotations

import signal


def undo() -> None:
    """The calling thread blocks no signal, and the end of children can be waited for.

    All that is started from here on inherits it: a kick that is blocked would never come.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
