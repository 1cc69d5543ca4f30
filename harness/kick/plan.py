# SPDX-License-Identifier: GPL-2.0-only
"""What a race does: words for the engine's numbers, and a plan of them."""

from __future__ import annotations

import enum
import os
import signal
from dataclasses import dataclass, field

from harness.native import lib

MOST_KICKERS = 16
"""As many threads as a lane's memory has room for (kick/lane.h)."""
MOST_KICKS = 10**12
MOST_BURST = 10_000
ENOUGH_LOSSES = 20
"""One says that KVM is broken, so many how often. Each costs 60 ms, and 0.5 s on a slow host."""
MOST_NS = 10_000_000_000
"""Delays and windows: longer ones would end in the supervisor's patience."""
_FAULTS = (signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP)


class PlanError(ValueError):
    """A plan that the engine cannot carry out; the sentence says why."""


class Protocol(enum.Enum):
    """Who writes the byte, and when. The values are words for parameters and reports."""

    HANDLER_WRITES = "handler_writes"
    """The signal's handler sets the byte, as api.rst describes it; QEMU, crosvm."""
    KICKER_WRITES = "kicker_writes"
    """The kicker sets the byte, the handler does nothing; Firecracker."""
    SIGNAL_MASK = "signal_mask"
    """KVM_SET_SIGNAL_MASK: blocked outside, open inside of KVM_RUN."""
    CONTROL = "control"
    """A handler that does nothing, no byte, no mask: loses what lands in the window."""
    CLEARED_LATE = "cleared_late"
    """Kicker writes, with the byte cleared after the check: wrong on purpose."""

    @property
    def keeps_its_promise(self) -> bool:
        """Whether a sound kernel loses no kick under it."""
        return self not in (Protocol.CONTROL, Protocol.CLEARED_LATE)


class Delivery(enum.Enum):
    """How the signal comes to the vCPU's thread."""

    THREAD = "thread"
    PROCESS = "process"
    TIMER = "timer"
    QUEUE = "queue"
    ITSELF = "itself"
    """By the vCPU's own thread, at each instruction of the window in turn."""


class Landing(enum.Enum):
    """Where a kick met the vCPU's thread. The order is the engine's."""

    BEFORE_CHECK = "before the check"
    IN_WINDOW = "in the window"
    IN_ENTRY = "in the entry"
    IN_GUEST = "in the guest"
    AFTER_EXIT = "after the exit"


LANDINGS = tuple(Landing)

PROTOCOL_NUMBERS = {
    Protocol.HANDLER_WRITES: lib.KE_HANDLER_WRITES,
    Protocol.KICKER_WRITES: lib.KE_KICKER_WRITES,
    Protocol.SIGNAL_MASK: lib.KE_SIGNAL_MASK,
    Protocol.CONTROL: lib.KE_CONTROL,
    Protocol.CLEARED_LATE: lib.KE_CLEARED_LATE,
}
DELIVERY_NUMBERS = {
    Delivery.THREAD: lib.KE_BY_THREAD,
    Delivery.PROCESS: lib.KE_BY_PROCESS,
    Delivery.TIMER: lib.KE_BY_TIMER,
    Delivery.QUEUE: lib.KE_BY_QUEUE,
    Delivery.ITSELF: lib.KE_BY_ITSELF,
}


@dataclass(frozen=True)
class Delays:
    """When a kick comes, ns after its round began: from `first` to `last`.

    `step` walks through them; a step of 0 draws them at random (from the plan's seed).
    """

    first: int = 0
    last: int = 20_000
    step: int = 10


@dataclass(frozen=True)
class Plan:
    """What one lane (a vCPU with its kickers) does.

    `kicks` is the budget, 0 for "until cancelled". `window_ns`: every second round waits so long
    between check and KVM_RUN, in user space, so that kicks land there on any host; it changes
    nothing in the kernel. With `enough_losses` lost kicks it ends, for each costs the time that it
    takes to be sure of it (0: it does not). `burst` signals a kick; `kickers` more than one is a
    storm. `apart` puts vCPU and kicker on the two processors of the slot, `together` on one;
    `migrate` moves the vCPU's thread to and fro every 8 kicks. `realtime` is the kickers'
    SCHED_FIFO priority, 0 for none. `halts` and `exits` describe the guest's program.
    """

    protocol: Protocol
    kicks: int
    delivery: Delivery = Delivery.THREAD
    delays: Delays = field(default_factory=Delays)
    window_ns: int = 6_000
    enough_losses: int = 0
    burst: int = 1
    kickers: int = 1
    placement: str = "apart"
    migrate: bool = False
    realtime: int = 0
    halts: bool = False
    exits: bool = False
    signo: int = 42
    seed: int = 1

    def check(self) -> None:
        """Raises `PlanError` for what cannot be carried out."""
        if not 0 <= self.kicks <= MOST_KICKS:
            raise PlanError(f"{self.kicks} kicks: a budget is 0 (no end) to {MOST_KICKS}")
        if not 0 <= self.delays.first <= self.delays.last or self.delays.step < 0:
            raise PlanError(
                f"delays from {self.delays.first} to {self.delays.last} ns by {self.delays.step}: "
                "they must rise from 0 on"
            )
        if self.delays.last > MOST_NS:
            raise PlanError(f"a delay of {self.delays.last} ns: at most {MOST_NS}")
        if not 0 <= self.window_ns <= MOST_NS:
            raise PlanError(f"a window of {self.window_ns} ns: 0 to {MOST_NS}")
        if not 0 <= self.seed < 2**64:
            raise PlanError(f"seed {self.seed}: 0 to 2^64 - 1")
        if not 1 <= self.kickers <= MOST_KICKERS:
            raise PlanError(f"{self.kickers} kickers: there may be 1 to {MOST_KICKERS}")
        if not 1 <= self.burst <= MOST_BURST:
            raise PlanError(f"a burst of {self.burst} signals: 1 to {MOST_BURST}")
        if self.placement not in ("apart", "together", "free"):
            raise PlanError(f"placement {self.placement!r}: one of apart, together, free")
        self._check_realtime()
        if not can_deliver(self.delivery):
            raise PlanError(f"this architecture has no kick by {self.delivery.value}")
        writer = self.protocol in (Protocol.KICKER_WRITES, Protocol.CLEARED_LATE)
        if writer and self.delivery is Delivery.TIMER:
            raise PlanError(f"{self.protocol.value} needs a kicker that writes; a timer is none")
        check_signal(self.signo)

    def _check_realtime(self) -> None:
        most = os.sched_get_priority_max(os.SCHED_FIFO)
        if not 0 <= self.realtime <= most:
            raise PlanError(f"realtime priority {self.realtime}: 0 (none) to {most}")
        if self.realtime and self.delivery in (Delivery.TIMER, Delivery.ITSELF):
            raise PlanError(
                f"realtime priority {self.realtime} is the kicker's, and a kick by "
                f"{self.delivery.value} has none"
            )


def can_deliver(delivery: Delivery) -> bool:
    """Whether this architecture has it: a thread kicks itself only where it can step itself."""
    return bool(lib.ke_can_deliver(DELIVERY_NUMBERS[delivery]))


def check_signal(signo: int) -> None:
    """Raises `PlanError` for a signal that cannot kick. Whether it is taken, the engine asks."""
    if not 1 <= signo <= signal.SIGRTMAX:
        raise PlanError(f"signal {signo}: signals go from 1 to {int(signal.SIGRTMAX)}")
    if signo in (signal.SIGKILL, signal.SIGSTOP):
        raise PlanError(f"signal {int(signo)} ({signal.Signals(signo).name}) cannot be handled")
    if signo in _FAULTS:
        name = signal.Signals(signo).name
        raise PlanError(f"signal {int(signo)} ({name}) is a fault of the processor, no kick")
    if signo not in signal.valid_signals():
        raise PlanError(f"signal {signo} is the C library's own")
    if signo == lib.ke_rescue_signal():
        raise PlanError(f"signal {signo} is the supervisor's own: it ends what a kick did not")


def check_vcpus(count: int, most: int) -> None:
    """Raises `PlanError` unless a guest may have so many vCPUs; `most`: KVM_CAP_MAX_VCPUS."""
    if not 1 <= count <= most:
        raise PlanError(f"{count} vCPUs: KVM on this host allows 1 to {most} (KVM_CAP_MAX_VCPUS)")
