# SPDX-License-Identifier: GPL-2.0-only
"""A process of a campaign: it ends when its parent is gone.

It leads a session of its own: what crashes there spoils no other, and Ctrl-C reaches it through its
parent only, which ends all in order.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Sequence

from lab.launch.request import ROOT

_PARENT = "KVM_CONFORMANCE_PARENT"
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def start(command: Sequence[str], output: int, errors: int) -> subprocess.Popen[bytes]:
    """Starts one; its program calls `end_with_the_parent`."""
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=errors,
        start_new_session=True,
        env={**os.environ, "COLUMNS": "100", _PARENT: str(os.getpid())},
    )


def end_with_the_parent() -> None:
    """SIGTERM when the parent dies, also by SIGKILL; at once where it is dead already."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if str(os.getppid()) != os.environ.get(_PARENT, str(os.getppid())):
        os.kill(os.getpid(), signal.SIGTERM)
