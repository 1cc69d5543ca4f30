# SPDX-License-Identifier: GPL-2.0-only
"""The other guests of a sequence where programs speak by MMIO, for the tables of operations."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence

from harness.kvm.abi import LackingError
from harness.kvm.guest import Guest
from harness.kvm.memory import PAGE_BYTES
from harness.kvm.vcpu import Vcpu
from harness.sequences.twins import Others, Twin, TwinProgram

_RAM = 0x20000  # no program lies there


def _calls(guest: Guest) -> Mapping[int, int]:
    if not guest.architecture.enable_hypercall_exits(guest.vm):
        raise LackingError("exits of hypercalls", errno.EOPNOTSUPP)
    return guest.architecture.hypercall_program()


def _programs(modes: Sequence[str]) -> Iterator[tuple[str, TwinProgram]]:
    for mode in modes:
        yield "mmio", TwinProgram("mmio", mode, 10)
        yield "hypercall", TwinProgram("hypercall", mode, 5, prepare=_calls)
        for store in (0, 1):
            # The last is the bytes of a page, where a program asks for that.
            data = {0: _RAM, 1: 4, 2: store, 5: 1, 6: PAGE_BYTES}
            yield f"pages {'loaded' if store else 'stored'}", TwinProgram("pages", mode, 6, data)


def others(modes: Sequence[str], rewrite: Callable[[Vcpu], None]) -> Others:
    """The other guests in these modes; `rewrite` sets all that KVM says of a vCPU again."""

    def rewritten(twin: Twin) -> None:
        if twin.settle():
            rewrite(twin.guest.vcpu)

    return Others(
        {f"{said}, {each.mode}": each for said, each in _programs(modes)},
        (rewritten,),
        lambda guest: None,
        lambda twin: None,
    )
