# SPDX-License-Identifier: GPL-2.0-only
"""arm64."""

from __future__ import annotations

from harness.host.arch import Words

WORDS = Words(
    lacking={
        "no_sve": "this KVM gives a guest no SVE",
    },
    loading="KVM is part of the kernel: boot with EL2, and without kvm-arm.mode=none",
    # arch/arm64/kernel/traps.c; arch/arm64/kvm/handle_exit.c
    faults=(
        r"(?:Bad mode|Unhandled .*exception) in ",
        r"Kernel panic - not syncing: HYP panic:",
        r"kvm \[\d+\]: nVHE hyp (?:panic|BUG) at: ",
    ),
)
