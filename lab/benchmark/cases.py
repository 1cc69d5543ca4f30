# SPDX-License-Identifier: GPL-2.0-only
"""What is measured."""

from __future__ import annotations

from dataclasses import dataclass

from harness.kvm.speech import Speech


@dataclass(frozen=True)
class Case:
    """One kind of call. `kind` names native/bench.c's number; `masked`: with KVM_SET_SIGNAL_MASK.

    `needs_capability`: it makes sense only where KVM_CAP_IMMEDIATE_EXIT is there.
    """

    name: str
    kind: str
    meaning: str
    masked: bool = False
    needs_capability: bool = False


def cases(leaving: Speech, *, capability: bool) -> tuple[Case, ...]:
    """Every case, in the order of the report; without the capability those that need none.

    `leaving` is how a guest leaves to userspace again and again.
    """
    every = (
        Case("immediate", "IMMEDIATE", "KVM_RUN with immediate_exit set", False, True),
        Case("immediate+mask", "IMMEDIATE", "the same, KVM_SET_SIGNAL_MASK in force", True, True),
        Case(leaving.short, "EXIT", f"KVM_RUN that exits on {leaving.meaning}"),
        Case(f"{leaving.short}+mask", "EXIT", "the same, KVM_SET_SIGNAL_MASK in force", True),
        Case("einval", "EINVAL", "floor: KVM_RUN that fails with EINVAL"),
        Case("getppid", "GETPPID", "floor: getppid(2)"),
    )
    return tuple(case for case in every if capability or not case.needs_capability)
