# SPDX-License-Identifier: GPL-2.0-only
"""What userspace can do to a vCPU, as a table: `operations()`."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping

from harness.kvm.senders import SENDERS
from harness.kvm.vcpu import KERNEL_SIGSET_BYTES
from harness.model.answers import ModelVcpu
from harness.sequences import arch, changes, kicks, runs, under
from harness.sequences.operation import AnyNumber, AnyScript, Domain, OneOf, Operation
from harness.ways import WAYS


def _would_wait(model: ModelVcpu) -> bool:
    """The guest comes to where it waits, and not to an exit."""
    return model.at_exit().waits()


def _leaves(model: ModelVcpu) -> bool:
    return not _would_wait(model)


def _comes_to_wait(model: ModelVcpu) -> bool:
    """Before it waits there is nothing that KVM has yet to complete by another exit."""
    return _would_wait(model) and not model.is_divided()


def _comes_to_spin(model: ModelVcpu) -> bool:
    """As before, and it does not sleep."""
    return _comes_to_wait(model) and not model.at_exit().sleeps()


def _completed(model: ModelVcpu) -> bool:
    """Nothing is pending: what userspace changes is what the guest goes on with."""
    return not model.pending


_EITHER = OneOf((False, True))
_SERVED: Mapping[str, Domain] = {"answer": AnyNumber(), "refuse": _EITHER}
_LOOK = OneOf(runs.LOOKS)
_THREAD = OneOf(runs.THREADS)
_VALUES = (1, 2, 0x7F, 0x80, 0xFF)
_WAY = OneOf(tuple(range(len(WAYS))))
_TIMES = OneOf((1, 2, 3, 20))

_EVERYWHERE: Mapping[str, Operation] = {
    "script": Operation(changes.script, ModelVcpu.is_over, {"steps": AnyScript()}, weight=30),
    "run": Operation(runs.plain, _leaves, {**_SERVED, "thread": _THREAD}, weight=14),
    "immediate": Operation(
        runs.immediate,
        arguments={
            **_SERVED,
            "value": OneOf(_VALUES),
            "times": _TIMES,
            "look": _LOOK,
            "thread": _THREAD,
            "window": OneOf((0, 1)),
        },
        weight=3,
    ),
    "signal": Operation(
        runs.signal, arguments={**_SERVED, "times": _TIMES, "look": _LOOK}, weight=3
    ),
    "held_back": Operation(
        runs.held_back, arguments={**_SERVED, "masked": _EITHER, "byte": OneOf((0, 1))}, weight=2
    ),
    "wrong_argument": Operation(
        runs.wrong_argument, arguments={"argument": OneOf((1, 1 << 63)), "byte": OneOf((0, 1))}
    ),
    "other_process": Operation(runs.other_process, arguments={"byte": OneOf((0, 1))}),
    "kick": Operation(
        kicks.kick,
        _comes_to_wait,
        {"sender": OneOf(tuple(SENDERS)), "restart": _EITHER},
        weight=10,
    ),
    "work": Operation(kicks.work, _comes_to_wait, {"sender": OneOf(tuple(SENDERS))}, weight=3),
    "kick_by_handler": Operation(
        kicks.kick_by_handler, _comes_to_wait, {"restart": _EITHER}, weight=4
    ),
    "set_while_running": Operation(
        kicks.set_while_running, _comes_to_spin, {"value": OneOf(_VALUES)}
    ),
    "release": Operation(changes.release, _would_wait, weight=6),
    "interrupt": Operation(changes.interrupt, lambda model: model.ready, needs="irqchip", weight=2),
    "take_events": Operation(
        kicks.take_events,
        lambda model: _comes_to_wait(model) and bool(kicks.certain(model)),
        weight=12,
    ),
    "move": Operation(changes.move, _completed),
    "remap": Operation(changes.remap, arguments={"logged": _EITHER}),
    "read_log": Operation(changes.read_log, needs="dirty_log"),
    "mask": Operation(changes.mask, arguments={"on": _EITHER}),
    "wrong_mask": Operation(
        changes.wrong_mask,
        arguments={"length": OneOf((None, 0, KERNEL_SIGSET_BYTES // 2, 1 << 20))},
    ),
    "descriptor": Operation(changes.descriptor),
    "add_processor": Operation(
        kicks.add_processor, arguments={"sender": OneOf(tuple(SENDERS))}, weight=2
    ),
    "neighbour": Operation(changes.neighbour),
    "padding": Operation(changes.padding, arguments={"value": AnyNumber()}),
    "reason": Operation(changes.reason, _completed, {"value": OneOf(range(40))}),
    "ask": Operation(changes.ask),
    "step_and_leave": Operation(runs.step_and_leave, ModelVcpu.settled, {"way": _WAY}),
}


def _under_conditions() -> Mapping[str, Operation]:
    """Of those that this architecture has."""
    condition = OneOf(tuple(arch.current().CONDITIONS))
    arguments = {"one": condition, "other": condition, "state": OneOf(under.STATES)}
    drawn = {**arguments, "way": _WAY, "times": _TIMES}
    return {"under": Operation(under.under_conditions, ModelVcpu.settled, drawn, weight=6)}


@functools.cache
def operations() -> Mapping[str, Operation]:
    """All that there are on this machine's architecture."""
    program = arch.current()
    only: Mapping[str, Operation] = importlib.import_module(
        f"{program.__name__}.operations"
    ).OPERATIONS
    found = {**_EVERYWHERE, **_under_conditions(), **only}
    return {name: each for name, each in found.items() if name not in program.ABSENT}
