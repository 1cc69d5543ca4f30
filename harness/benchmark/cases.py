# SPDX-License-Identifier: GPL-2.0-only
"""What is measured."""

from __future__ import annotations

from dataclasses import dataclass

import guest_blobs


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


@dataclass(frozen=True)
class Workload:
    """A guest program that leaves to userspace again and again, and the exit it takes."""

    program: str
    exit_reason: str
    case_name: str


_WORKLOADS = (
    Workload("port_io", "KVM_EXIT_IO", "pio"),
    # Where the processor has no ports.
    Workload("mmio", "KVM_EXIT_MMIO", "mmio"),
)


def workload(architecture: str) -> Workload:
    """The first workload that an architecture has a program for. Raises `BlobError`."""
    there = guest_blobs.programs(architecture)
    for known in _WORKLOADS:
        if known.program in there:
            return known
    raise guest_blobs.BlobError(
        f"no guest program for the benchmark on {architecture}: it needs one of "
        f"{', '.join(known.program for known in _WORKLOADS)}"
    )


def cases(leaving: Workload, *, capability: bool) -> tuple[Case, ...]:
    """Every case, in the order of the report; without the capability those that need none."""
    io = "port I/O" if leaving.case_name == "pio" else "MMIO"
    every = (
        Case("immediate", "IMMEDIATE", "KVM_RUN with immediate_exit set", False, True),
        Case("immediate+mask", "IMMEDIATE", "the same, KVM_SET_SIGNAL_MASK in force", True, True),
        Case(leaving.case_name, "EXIT", f"KVM_RUN that exits on {io}"),
        Case(f"{leaving.case_name}+mask", "EXIT", "the same, KVM_SET_SIGNAL_MASK in force", True),
        Case("einval", "EINVAL", "floor: KVM_RUN that fails with EINVAL"),
        Case("getppid", "GETPPID", "floor: getppid(2)"),
    )
    return tuple(case for case in every if capability or not case.needs_capability)
