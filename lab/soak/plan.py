# SPDX-License-Identifier: GPL-2.0-only
"""What a soak may be made of: durations, guests, shapes, and the slices in their order."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.kick.guest_kind import SPINS, GuestKind
from harness.kick.plan import Delays, Delivery, Plan, PlanError, Protocol
from harness.kvm import arch

_ONLINE = Path("/sys/devices/system/cpu/online")

#: The control's signal comes at an instruction of the window, so a few kicks are enough.
CONTROL_KICKS = 6


GUESTS = {
    "spin": SPINS,
    "halt": GuestKind("halt", irqchip="least", halts=True, data={0: 1}),
    "halt_no_polling": GuestKind("halt", irqchip="least", halts=True, polling=False, data={0: 1}),
    arch.dialogue(): GuestKind(arch.dialogue(), exits=True),
    "mmio": GuestKind("mmio", exits=True),
    **{name: GuestKind(program, irqchip="least") for name, program in arch.fast_paths().items()},
}


@dataclass(frozen=True)
class Shape:
    """Threads and processors of a slice. `lanes` 0: two for each processor of this process.

    `stops`: in a process of its own, which is stopped and continued all the time.
    """

    lanes: int = 1
    placement: str = "apart"
    kickers: int = 1
    burst: int = 1
    migrate: bool = False
    step: int = 10
    stops: bool = False

    @property
    def needs_kickers(self) -> bool:
        """Whether it says something about kicking threads, and so wants some."""
        return self.kickers > 1 or self.burst > 1 or self.placement == "together"

    def count(self) -> int:
        """vCPUs on this host."""
        return self.lanes or 2 * len(os.sched_getaffinity(0))


SHAPES = {
    "apart": Shape(),
    "together": Shape(placement="together"),
    "free": Shape(placement="free"),
    "random": Shape(step=0),
    "burst": Shape(burst=4),
    "storm": Shape(kickers=4),
    "migrate": Shape(migrate=True),
    "stopped": Shape(stops=True, step=0),
    "two": Shape(lanes=2, placement="free"),
    "crowd": Shape(lanes=0, placement="free"),
}

#: The protocols that a sound kernel keeps; the control runs beside each.
PROTOCOLS = tuple(protocol.value for protocol in Protocol if protocol.keeps_its_promise)
DELIVERIES = tuple(delivery.value for delivery in Delivery)


def processors(text: str) -> set[int]:
    """The processors in --cpus, as 0,1 or 0-3. Raises ValueError with a sentence."""
    try:
        wanted = _list_of_processors(text)
    except ValueError:
        raise ValueError(f"{text!r} is no list of processors; an example: 0,1 or 0-3") from None
    online = _list_of_processors(_ONLINE.read_text(encoding="ascii"))
    present = os.cpu_count() or 1
    for cpu in sorted(wanted - online):
        raise ValueError(
            f"processor {cpu} does not exist or is offline here ({present} are there: "
            f"{_ONLINE} says {_ONLINE.read_text(encoding='ascii').strip()})"
        )
    for cpu in sorted(wanted - os.sched_getaffinity(0)):
        raise ValueError(
            f"this process may not use processor {cpu} (its affinity or its cpuset forbids it)"
        )
    return wanted


def _list_of_processors(text: str) -> set[int]:
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if not first.isdigit() or (last and not last.isdigit()) or len(part) > 11:
            raise ValueError(part)
        found |= set(range(int(first), min(int(last or first), int(first) + 65_536) + 1))
    if not found:
        raise ValueError(text)
    return found


@dataclass(frozen=True)
class Combination:
    """One kind of slice, by words."""

    protocol: str
    guest: str
    mode: str
    shape: str
    delivery: str

    def plan(self, *, signo: int = 42, seed: int = 1) -> Plan:
        """What a lane of it does, until it is cancelled."""
        kind, shape = GUESTS[self.guest], SHAPES[self.shape]
        return Plan(
            Protocol(self.protocol),
            kicks=0,
            delivery=Delivery(self.delivery),
            delays=Delays(step=shape.step),
            burst=shape.burst,
            kickers=shape.kickers,
            placement=shape.placement,
            migrate=shape.migrate,
            halts=kind.halts,
            exits=kind.exits,
            signo=signo,
            seed=seed,
        )

    def describe(self) -> str:
        """All of it, for a line."""
        return f"{self.protocol} on {self.guest} ({self.mode}), {self.shape}, by {self.delivery}"

    def possible(self) -> bool:
        """Whether it means something: a timer writes no byte, and has no kickers to multiply."""
        if Delivery(self.delivery) in (Delivery.TIMER, Delivery.ITSELF):
            if SHAPES[self.shape].needs_kickers:
                return False
        elif self.delivery == Delivery.PROCESS.value and SHAPES[self.shape].kickers > 1:
            return False  # one process kicks
        try:
            self.plan().check()
        except PlanError:
            return False
        return True


def combinations(
    protocols: tuple[str, ...],
    guests: tuple[tuple[str, str], ...],
    shapes: tuple[str, ...],
    deliveries: tuple[str, ...],
    seed: int = 1,
) -> list[Combination]:
    """All that are possible, protocols in turn and the rest shuffled.

    So a short soak has seen each protocol equally often, and something of everything else.
    """
    rest = list(itertools.product(guests, shapes, deliveries))
    random.Random(seed).shuffle(rest)
    found = [
        Combination(protocol, guest, mode, shape, delivery)
        for (guest, mode), shape, delivery in rest
        for protocol in protocols
    ]
    return [each for each in found if each.possible()]


def in_turn(found: list[Combination]) -> Iterator[Combination]:
    """For ever."""
    return itertools.cycle(found)
