# SPDX-License-Identifier: GPL-2.0-only
"""What userspace does to a vCPU where programs speak by MMIO, besides what it does everywhere."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from harness.kvm.abi import LackingError
from harness.kvm.guest import Guest
from harness.kvm.memory import PAGE_BYTES
from harness.kvm.vcpu import Vcpu
from harness.model.answers import ModelVcpu
from harness.model.steps import ScriptProgram
from harness.sequences import twins
from harness.sequences.operation import AnyNumber, Arguments, Domain, OneOf, Operation
from harness.sequences.subject import Subject
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


def _others(modes: Sequence[str], rewrite: Callable[[Vcpu], None]) -> Others:
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


def operations(
    program: ScriptProgram,
    settable: Sequence[str],
    set_place: Callable[[Vcpu, str, int], None],
    rewrite: Callable[[Vcpu], None],
    *,
    modes: Sequence[str],
    irqchips: Sequence[str],
) -> Mapping[str, Operation]:
    """The table: `set_place` gives one of the `settable` places a value by an ioctl."""

    def rewritten(subject: Subject, given: Arguments) -> None:
        """What KVM says of the vCPU is set again: nothing has changed."""
        rewrite(subject.guest.vcpu)

    def register_set(subject: Subject, given: Arguments) -> None:
        """A place of the program's gets another value."""
        name = given["place"]
        value = given["value"] & program.held_bits(name)
        set_place(subject.guest.vcpu, name, value)
        places = {**subject.model.state.places, name: value}
        subject.change(replace(subject.model.state, places=places))

    drawn: Mapping[str, Domain] = {"place": OneOf(settable), "value": AnyNumber()}
    return {
        "rewrite": Operation(rewritten, ModelVcpu.settled),
        "set_register": Operation(register_set, ModelVcpu.settled, drawn),
        "twin": twins.operation(_others(modes, rewrite), irqchips),
    }
