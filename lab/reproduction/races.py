# SPDX-License-Identifier: GPL-2.0-only
"""A race that lost a kick, in C: its plan, with its seed, again and again."""

from __future__ import annotations

import signal

from harness.kick.plan import Delivery, Protocol
from harness.kvm.call_log import Raced
from lab.reproduction.arch import UntoldError

# As race.c.in calls them.
_WHO = {each.value: each.name for each in Protocol if each.keeps_its_promise}
_HOW = {
    Delivery.THREAD.value: "BY_THREAD",
    Delivery.PROCESS.value: "BY_PROCESS",
    Delivery.QUEUE.value: "BY_QUEUE",
    Delivery.TIMER.value: "BY_TIMER",
}


def told(entry: Raced, page: str, memory: str) -> list[str]:
    """Lines of C. `page` and `memory` are the vCPU's kvm_run and its guest's memory there.

    Raises `UntoldError`.
    """
    who, how = _WHO.get(entry.protocol), _HOW.get(entry.delivery)
    if who is None or how is None:
        raise UntoldError(f"a race of {entry.protocol} by {entry.delivery}")
    if entry.burst > 1 and (how == "BY_TIMER" or entry.signo < signal.SIGRTMIN):
        raise UntoldError("a race whose signals are one")
    if entry.last < entry.first:
        raise UntoldError(f"delays from {entry.first} to {entry.last} ns")
    vcpu, kicker = entry.processors
    return [
        f"raced = {page};",
        "plan = (struct plan){",
        f"\t.vcpu = {entry.of}, .who = {who}, .how = {how},",
        f"\t.signo = {entry.signo}, .burst = {entry.burst}, .processors = {{{vcpu}, {kicker}}},",
        f"\t.first = {entry.first}, .last = {entry.last}, .step = {entry.step},",
        f"\t.window = {entry.window}, .kicks = {max(entry.kicks, 1)}, .seed = {entry.seed},",
        "};",
        f"race({memory});",
    ]
