# SPDX-License-Identifier: GPL-2.0-only
"""Whether this process may take a realtime priority, and the sentence for it if not."""

from __future__ import annotations

import os
import resource
import threading


def obstacle(priority: int) -> str:
    """Why a thread of this process may not have this SCHED_FIFO priority; empty if it may.

    Asks the kernel, in a thread of its own that ends with the answer. Raises OSError where it is
    not a permission that is missing.
    """
    found: list[OSError] = []

    def ask() -> None:
        policy = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
        try:
            os.sched_setscheduler(0, policy, os.sched_param(priority))
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=ask, name="realtime probe")
    thread.start()
    thread.join()
    for error in found:
        if not isinstance(error, PermissionError):
            raise error
    return not_permitted(priority) if found else ""


def not_permitted(priority: int) -> str:
    """What is missing after EPERM (sched(7), "Privileges and resource limits")."""
    limit, _ = resource.getrlimit(resource.RLIMIT_RTPRIO)
    if limit == resource.RLIM_INFINITY or limit >= priority:
        return (
            f"realtime priority {priority} is not permitted although RLIMIT_RTPRIO allows it: the "
            "control group of this process has no realtime share (cpu.rt_runtime_us), or a "
            "security module forbids it"
        )
    return (
        f"realtime priority {priority} is not permitted: this process has no CAP_SYS_NICE, and its "
        f"RLIMIT_RTPRIO is {limit}; run as root, or raise the limit to {priority} (ulimit -r)"
    )
