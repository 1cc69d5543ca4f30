# SPDX-License-Identifier: GPL-2.0-only
"""What a sequence asks of KVM, call by call, for a program of one whose operations no C tells."""

from __future__ import annotations

from harness.kvm import call_log
from harness.kvm.abi import KvmError
from harness.kvm.call_log import ToldCalls
from harness.kvm.system import System
from harness.kvm.unmet import told
from harness.sequences.sequence import Recorded, play


def told_calls(system: System, recorded: Recorded, claim: str) -> ToldCalls | None:
    """Plays it once more; None where it does not break this claim then, or not all is known."""
    with call_log.log_calls() as log:
        try:
            broken = play(system, recorded)
        except (KvmError, OSError):  # what was found stands without it
            return None
        return told(log, broken) if broken and broken.claim == claim else None
