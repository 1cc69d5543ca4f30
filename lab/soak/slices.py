# SPDX-License-Identifier: GPL-2.0-only
"""One slice of a soak: fresh guests, the race, and a small control on the same guest."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from guest_blobs import BlobError
from harness.kick import engine
from harness.kick.guest_kind import GuestKind
from harness.kick.race import control_of
from harness.kick.race_process import RaceProcess
from harness.kick.slots import Slot
from harness.kick.summary import Summary
from harness.kvm import arch
from harness.kvm.abi import KvmError, LackingError
from harness.kvm.guest import Guest
from harness.kvm.system import System
from lab.soak.plan import CONTROL_KICKS, GUESTS, SHAPES, Combination

_CONTROL_LIMIT_S = 20.0
#: Clock ticks of processor time from one stop of a process to the next.
_TICKS = 2
#: Turns a second taken for granted until a guest that spins has been measured.
_ANY_SPEED = 100_000_000


@dataclass
class SliceDone:
    """What a slice gave. `control` is None beside guests that leave KVM_RUN by themselves.

    `stops` is how often the race's process was stopped and continued.
    """

    summaries: list[Summary]
    control: Summary | None = None
    stops: int = 0


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
        except (LackingError, BlobError) as error:
            return str(error)
        except KvmError:
            return ""  # a refusal: its race meets it too, and tells it

    def run(
        self, what: Combination, slot: Slot, seconds: float, seed: int, cancel: engine.Cancel
    ) -> SliceDone:
        """Races for so long, then the control.

        Raises `KvmError`, `EngineError`, `BlobError`, `NotSeenError` and `RaceProcessError`.
        """
        kind = GUESTS[what.guest]
        count = min(SHAPES[what.shape].count(), 64)
        with self._guests(kind, what.mode, count) as guests:
            speed = self._speed(guests[0], kind, what.mode)
            plans = [what.plan(seed=seed + index) for index in range(count)]
            if SHAPES[what.shape].stops:
                with RaceProcess(
                    plans[0], slot, what.mode, kind=kind, speed=speed, time_limit_s=seconds
                ) as apart:
                    done = _stop_and_continue(apart, cancel)
            else:
                done = SliceDone(
                    engine.run(
                        guests, plans, slot=slot, speed=speed, time_limit_s=seconds, cancel=cancel
                    )
                )
            if not kind.exits and not cancel.word[0]:
                (done.control,) = engine.run(
                    guests[:1],
                    [control_of(halts=kind.halts, seed=seed, kicks=CONTROL_KICKS)],
                    slot=slot,
                    speed=speed,
                    time_limit_s=_CONTROL_LIMIT_S,
                    cancel=cancel,
                )
        return done

    @contextlib.contextmanager
    def _guests(self, kind: GuestKind, mode: str, count: int) -> Iterator[list[Guest]]:
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(kind.make(self.system, mode)) for _ in range(count)]

    def _speed(self, guest: Guest, kind: GuestKind, mode: str) -> int:
        if kind.spins:
            self.speeds[mode] = engine.measure_speed(guest)
        return self.speeds.get(mode, _ANY_SPEED)


def _stop_and_continue(apart: RaceProcess, cancel: engine.Cancel) -> SliceDone:
    """Until the race is over, or cancelled."""
    stops = 0
    apart.wait_for_begin()
    while (
        not cancel.word[0] and apart.wait_for_processor_time(_TICKS) and apart.stop_and_continue()
    ):
        stops += 1
    if cancel.word[0]:
        apart.cancel()
    return SliceDone([apart.summary()], stops=stops)


def last_mode() -> str:
    """The architecture's richest mode."""
    return arch.current().MODES[-1]
