# SPDX-License-Identifier: GPL-2.0-only
"""A vCPU in some state of waiting or running, kicked by a signal of each kind."""

from __future__ import annotations

from collections.abc import Callable

from harness.kvm.kicked_here import Ready, run_kicked
from harness.kvm.running import Processor
from harness.kvm.senders import SENDERS
from harness.require import require_signal_exit


def require_each_kind_ends(
    processor: Processor, begin: Callable[[], Ready], circumstance: str
) -> None:
    """A signal of each kind, one after the other, ends a KVM_RUN of its own.

    `begin` prepares a run, and tells when the vCPU is where it is to be kicked.
    """
    __tracebackhide__ = True
    for kind, sender in SENDERS.items():
        result, handled = run_kicked(processor, begin, sender)
        said = f"On {kind} (signal {sender.signo}), {circumstance}"
        require_signal_exit(result, said)
        assert handled == 1, f"{said}, the handler must run once, but it ran {handled} times"
