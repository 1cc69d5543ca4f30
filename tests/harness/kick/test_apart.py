# SPDX-License-Identifier: GPL-2.0-only
"""What a race in a process of its own sends to its caller."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
LENGTH = 1 << 20  # more than a pipe takes at once
SENDER = f"from harness.kick.race_process import send; send(1, bytes({LENGTH}))"


def test_message_is_whole_though_its_sender_is_stopped_again_and_again() -> None:
    """write(2) to a full pipe ends in part when SIGSTOP and SIGCONT meet it."""
    sender = subprocess.Popen(
        [sys.executable, "-u", "-c", SENDER], stdout=subprocess.PIPE, bufsize=0, cwd=ROOT
    )
    assert sender.stdout is not None
    received = 0
    while text := sender.stdout.read(4096):
        received += len(text)
        sender.send_signal(signal.SIGSTOP)
        flags = os.WSTOPPED | os.WEXITED | os.WNOWAIT
        if os.waitid(os.P_PID, sender.pid, flags).si_code != os.CLD_STOPPED:  # type: ignore[union-attr]
            break
        sender.send_signal(signal.SIGCONT)
    received += len(sender.stdout.read())
    sender.stdout.close()
    assert sender.wait() == 0
    assert received == LENGTH
