# SPDX-License-Identifier: GPL-2.0-only
"""One slice of a soak: fresh guests, the race, and a small control on the same guest."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from guest_blobs import BlobError
from harness.kick import engine
from harness.kick.plan import Delivery, Plan, Protocol
from harness.kick.slots import Slot
from harness.kick.summary import Summary
from harness.kvm import arch
from harness.kvm.abi import KvmError
from harness.kvm.guest import Guest, create
from harness.kvm.running import warm_up
from harness.kvm.system import System
from tools.soak_plan import CONTROL_KICKS, GUESTS, SHAPES, Combination, GuestKind

_CONTROL_LIMIT_S = 20.0
#: Turns a second taken for granted until a guest that spins has been measured.
_ANY_SPEED = 100_000_000


@dataclass
class Done:
    """What a slice gave. `control` is None beside guests that leave KVM_RUN by themselves."""

    summaries: list[Summary]
    control: Summary | None


@dataclass
class Workshop:
    """Makes slices. `speeds` are turns a second by the guest's mode, the latest measured."""

    system: System
    speeds: dict[str, int] = field(default_factory=dict)

    def obstacle(self, guest: str, mode: str) -> str:
        """Why this guest cannot be had here; an empty text if it can."""
        try:
            with self._guests(GUESTS[guest], mode, 1):
                return ""
        except (KvmError, BlobError) as error:
            return str(error)

    def run(
        self, what: Combination, slot: Slot, seconds: float, seed: int, cancel: engine.Cancel
    ) -> Done:
        """Races for so long, then the control. Raises `KvmError`, `EngineError`, `BlobError`."""
        kind = GUESTS[what.guest]
        count = min(SHAPES[what.shape].count(), 64)
        with self._guests(kind, what.mode, count) as guests:
            speed = self._speed(guests[0], kind, what.mode)
            plans = [what.plan(seed=seed + index) for index in range(count)]
            summaries = engine.run(
                guests, plans, slot=slot, speed=speed, time_limit_s=seconds, cancel=cancel
            )
            control = None
            if not kind.exits and not cancel.word[0]:
                (control,) = engine.run(
                    guests[:1],
                    [_control(kind, seed)],
                    slot=slot,
                    speed=speed,
                    time_limit_s=_CONTROL_LIMIT_S,
                    cancel=cancel,
                )
        return Done(summaries, control)

    @contextlib.contextmanager
    def _guests(self, kind: GuestKind, mode: str, count: int) -> Iterator[list[Guest]]:
        with contextlib.ExitStack() as stack:
            made = []
            for _ in range(count):
                guest = stack.enter_context(create(self.system, kind.irqchip))
                guest.load(kind.program, mode, kind.data)
                if kind.spins:
                    warm_up(guest)
                made.append(guest)
            yield made

    def _speed(self, guest: Guest, kind: GuestKind, mode: str) -> int:
        if kind.spins:
            self.speeds[mode] = engine.measure_speed(guest)
        return self.speeds.get(mode, _ANY_SPEED)


def _control(kind: GuestKind, seed: int) -> Plan:
    return Plan(
        Protocol.CONTROL,
        kicks=CONTROL_KICKS,
        delivery=Delivery.ITSELF,
        halts=kind.halts,
        seed=seed,
    )


def last_mode() -> str:
    """The architecture's richest mode."""
    return arch.current().MODES[-1]
