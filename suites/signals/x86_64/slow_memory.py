# SPDX-License-Identifier: GPL-2.0-only
"""Whether a wait for the guest's memory takes a signal here."""

from __future__ import annotations

import platform

from harness.host.features import reason


def why_not_interruptible(instructions: int | None) -> str:
    """Why a wait for this guest's memory may take no signal here, as a skip's reason; "" when not.

    The commits made KVM's own faults interruptible: those that the processor reports, as a plain
    load in long mode is with EPT, NPT and shadow paging alike. Where KVM interprets the guest
    (kvm_pvm with a guest that is not its own) the same load is a copy_from_user() in the kernel,
    which only a fatal signal ends. KVM's count of interpreted instructions tells: nothing in the
    program up to the load needs to be interpreted, so that it is 0 where the processor runs it.
    Without the count nothing tells the two apart.
    """
    word = "no_interruptible_fault"
    if instructions:
        return reason(word, f"KVM interpreted {instructions} instructions up to the access")
    release = platform.release()
    major, minor = (int("".join(filter(str.isdigit, part))) for part in release.split(".")[:2])
    if (major, minor) < (6, 2):
        return reason(word, f"Linux {release} is before commit 766576874b97 of 6.2")
    if instructions is None:
        return reason("no_stats", "whether KVM interpreted the access is not known")
    return ""
