# SPDX-License-Identifier: GPL-2.0-only
"""Runs plans on guests: one lane each, all at once, under the engine's supervisor."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Sequence
from typing import Any

from harness.host import pace
from harness.kick import realtime
from harness.kick.plan import DELIVERY_NUMBERS, PROTOCOL_NUMBERS, Delivery, Plan, Protocol
from harness.kick.slots import Slot, check_processors
from harness.kick.summary import Summary, read
from harness.kvm import call_log
from harness.kvm.guest import Guest
from harness.kvm.run import NS
from harness.kvm.running import Running
from harness.kvm.vcpu import all_signals_but
from harness.lasting_thread import LastingThread
from harness.native import ffi, lib

# A kick is given up only when the guest has made the progress of so many seconds after it. These
# are five host ticks at 100 Hz: each brought the vCPU into the kernel, with the signal there.
LOST_S = 0.05
# And late from so much of its progress on: an eighth of the shortest tick (1 ms at 1,000 Hz). A
# kick that misses the last check before the entry waits for the tick, half of one on average; the
# interrupt that takes a vCPU out of the guest needs microseconds.
LATE_S = 0.000_125
LEAST_LATE_TURNS = 16
_SPEED_NS = 20_000_000
_SEED = (1 << 63) - 1  # of a program's


class EngineError(Exception):
    """The engine could not be started; the sentence says why. No verdict about the kernel."""


class Cancel:
    """A flag that ends a run of the engine from another thread or a signal handler."""

    def __init__(self) -> None:
        self.word: Any = ffi.new("uint32_t *")

    def set(self) -> None:
        """Ends the run; its summaries hold what was done."""
        self.word[0] = 1


def measure_speed(guest: Guest) -> int:
    """The guest's turns a second of processor time, for a program that spins. Not below 1."""
    with Running(guest) as running:
        running.wait_for_progress()
        begin = guest.heartbeat
        running.wait_for_processor_time(_SPEED_NS)
        turns = (guest.heartbeat - begin) & 0xFFFFFFFF
        guest.stop()
        running.outcome()
    guest.clear_stop()
    return max(1, turns * NS // _SPEED_NS)


def run(
    guests: Sequence[Guest],
    plans: Sequence[Plan],
    *,
    slot: Slot,
    speed: int,
    time_limit_s: float = 600.0,
    cancel: Cancel | None = None,
    function: Any = None,
) -> list[Summary]:
    """Each plan on its guest, all at once, until every budget is spent.

    `speed` is the guests' turns a second; `time_limit_s` ends the run early (0: never), and the
    summaries then count what was done. `function` stands in for KVM_RUN in tests (a
    `ke_run_function`). Raises `PlanError`, `EngineError` and `KvmError`.
    """
    for plan in plans:
        plan.check()
    if any(plan.placement != "free" or plan.migrate for plan in plans):
        check_processors(slot)
    late = max(LEAST_LATE_TURNS, int(speed * LATE_S))
    lanes: list[Any] = []
    try:
        for guest, plan in zip(guests, plans, strict=True):
            if plan.protocol is Protocol.SIGNAL_MASK:
                guest.vcpu.set_signal_mask(all_signals_but(plan.signo))
            native = _native_plan(guest, plan, slot, speed, late)
            native.function = function if function is not None else ffi.NULL
            lane = lib.ke_lane_new(native)
            if lane == ffi.NULL:
                raise EngineError("the kick engine has no memory for a lane")
            lanes.append(lane)
        word = (cancel or Cancel()).word
        error = _run(ffi.new("struct ke_lane *[]", lanes), len(lanes), time_limit_s, word)
        if error:
            raise EngineError(_why(-error, plans, slot))
        found = [
            read(lib.ke_lane_summary(lane), plan, late, speed)
            for lane, plan in zip(lanes, plans, strict=True)
        ]
        _log(guests, slot, found)
        return found
    finally:
        for lane in lanes:
            lib.ke_lane_free(lane)
        for guest, plan in zip(guests, plans, strict=True):
            if plan.protocol is Protocol.SIGNAL_MASK:
                guest.vcpu.set_signal_mask(None)


def _run(lanes: Any, count: int, time_limit_s: float, cancel: Any) -> int:
    """The engine, off the main thread when that is where we are.

    Python's own handlers (Ctrl-C) run on the main thread between bytecodes; in one long C call
    there are none, so the call goes to another thread and the main one waits for it.
    """
    answer: list[int] = []

    def body() -> None:
        answer.append(int(lib.ke_kick_run(lanes, count, int(time_limit_s * NS), cancel)))

    def give_up() -> None:
        cancel[0] = 1

    worker = LastingThread(body, "kick engine")
    try:
        worker.start()
        worker.join()
    except BaseException:
        worker.settle(give_up)  # the lanes' memory must outlive the engine
        raise
    return answer[0]


def _why(error: int, plans: Sequence[Plan], slot: Slot) -> str:
    if error == errno.EBUSY:
        own = {plan.signo for plan in plans} | {lib.ke_rescue_signal()}
        if any(plan.delivery is Delivery.ITSELF for plan in plans):
            own.add(int(signal.SIGTRAP))
        taken = next((signo for signo in sorted(own) if lib.ke_signal_taken(signo)), None)
        if taken is not None:
            return (
                f"signal {int(taken)} is taken: this process handles it already, and a race needs "
                "it for itself; choose another one"
            )
    if error == errno.EAGAIN:
        return (
            "the kick engine could not send a signal, or make a thread: this user's limits are "
            "reached (`ulimit -i` for pending signals, `ulimit -u` for threads)"
        )
    if error == errno.ETIME:
        return (
            "the kick engine cannot time its rounds, for this process is shown a wrong time "
            "(libfaketime?)"
        )
    if error == errno.EINVAL:
        return (
            f"the kick engine cannot start: the processors {slot.vcpu} and {slot.kicker} are not "
            "both this process's to use (sched_setaffinity: Invalid argument)"
        )
    priority = max(plan.realtime for plan in plans)
    if error == errno.EPERM and priority:
        return realtime.not_permitted(priority)
    return f"the kick engine cannot start: {os.strerror(error)}"


def _log(guests: Sequence[Guest], slot: Slot, found: Sequence[Summary]) -> None:
    """For a program that does the same."""
    if call_log.current is None:
        return
    if len(guests) > 1:
        call_log.cannot("vCPUs that race side by side")
        return
    plan = found[0].plan
    if plan.kickers > 1:
        call_log.cannot("a race of many kickers")
    if plan.migrate:
        call_log.cannot("a race on a vCPU that is moved between processors")
    if plan.realtime:
        call_log.cannot("a kicker with a real-time priority")
    fields = {
        "protocol": plan.protocol.value,
        "delivery": plan.delivery.value,
        "first": plan.delays.first,
        "last": plan.delays.last,
        "step": plan.delays.step,
        "window": plan.window_ns,
        "processors": {
            "apart": (slot.vcpu, slot.kicker),
            "together": (slot.vcpu, slot.vcpu),
        }.get(plan.placement, (-1, -1)),
        **{name: getattr(plan, name) for name in ("signo", "kicks", "burst")},
        "seed": plan.seed & _SEED,
    }
    call_log.current.raced(guests[0].vcpu.fd, fields, found[0])


def _native_plan(guest: Guest, plan: Plan, slot: Slot, speed: int, late: int) -> Any:
    native = ffi.new("struct ke_lane_plan *")
    native.vcpu_fd = guest.vcpu.fd
    native.run = guest.vcpu.run_page
    native.heartbeat = guest.vcpu.bounds.heartbeat
    native.stop = guest.vcpu.bounds.stop
    native.protocol = PROTOCOL_NUMBERS[plan.protocol]
    native.delivery = DELIVERY_NUMBERS[plan.delivery]
    native.signo, native.kicks, native.seed = plan.signo, plan.kicks, plan.seed
    native.enough_losses = plan.enough_losses
    native.delay_first_ns, native.delay_last_ns = plan.delays.first, plan.delays.last
    native.delay_step_ns = plan.delays.step
    native.window_ns, native.burst, native.kickers = plan.window_ns, plan.burst, plan.kickers
    places = {"apart": (slot.vcpu, slot.kicker), "together": (slot.vcpu, slot.vcpu)}
    native.vcpu_cpu, native.kicker_cpu = places.get(plan.placement, (-1, -1))
    native.realtime = plan.realtime
    if plan.migrate:
        native.migrate_from, native.migrate_to = slot.vcpu, slot.kicker
    else:
        native.migrate_from = native.migrate_to = -1
    native.sleeps, native.exits = plan.halts, plan.exits
    # The clock is there for what sleeps, and for a slow machine's timer whose interrupt comes late.
    # A control's loss is the guest's progress after a handler that ran in the window.
    lost_s = LOST_S if plan.protocol is Protocol.CONTROL else pace.here().stretched(LOST_S)
    native.lost_ns = int(lost_s * NS)
    native.lost_turns = max(1, int(speed * LOST_S))
    judged = not plan.halts and not plan.exits
    native.late_turns = late if judged else 0
    native.turns_per_second = speed
    return native
