# SPDX-License-Identifier: GPL-2.0-only
"""The program that sweeps, inside an emulated host: ``python -m lab.sweep.inside FOLDER``.

FOLDER/request.json says what; the results are files beside it: calibration.json, and for each pass
of a sweep the rounds as the extension's own structs (WAY-PROTOCOL-NUMBER.rounds) and the kernel's
trace (.trace); at the end the kernel's symbols (symbols), the instructions of each kind of call
(cost.json), and an empty file `done`; or `error`, a sentence without its full stop.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.kick.plan import Protocol
from harness.kvm.guest import Guest, create
from harness.kvm.running import NotSeenError, warm_up
from harness.kvm.system import System
from harness.kvm.vcpu import all_signals_but
from harness.native import ffi, lib
from lab.benchmark.measurement import Batch, BenchSettings, CannotMeasureError, run_all
from lab.sweep import tracing
from lab.sweep.tracing import TracingError
from lab.sweep.ways import PROTOCOLS, WAYS, Way

SIGNAL = 42
# The deadline is set so far ahead: longer than the least distance of a timer's dates (1 us).
LEAD_NS = 20_000
# A kick that nothing answers is ended then: later than a host's tick (4 ms at 250 Hz), which
# would end it too.
RESCUE_NS = 12_000_000
CALIBRATION_ROUNDS = 1600
_LATE_NS = 100_000
PASS_SHIFT = 16  # the timer keeps to its steps
ERROR = "error"


class CannotSweepError(Exception):
    """The sweep cannot start; the text says what is missing."""


def calibrate() -> list[int]:
    """Interrupts a slide of NOPs: which one each aim has met; -1 where none. `CannotSweepError`."""
    nops = ffi.new("int32_t[]", CALIBRATION_ROUNDS)
    error = lib.sw_calibrate(SIGNAL, LEAD_NS, 1000, nops, CALIBRATION_ROUNDS)
    _check(error, "calibration")
    return list(nops)


def _check(error: int, what: str) -> None:
    if error == -errno.ENOSYS:
        raise CannotSweepError(f"this architecture has no {what}: its clock aims at no instruction")
    if error:
        raise CannotSweepError(f"the {what} has no timer for its kicks: {os.strerror(-error)}")


@dataclass(frozen=True)
class Sweep:
    """One sweep: its way and protocol by name, its positions, and how often each is aimed at."""

    way: str
    protocol: str
    first: int
    rounds: int
    passes: int

    def stem(self, number: int) -> str:
        """The name of a pass's files."""
        return f"{self.way}-{self.protocol}-{number}"


def one_pass(guest: Guest, way: Way, protocol: Protocol, first: int, rounds: int) -> bytes:
    """All rounds, as the extension wrote them."""
    plan = ffi.new("struct sw_plan *")
    plan.vcpu_fd, plan.run = guest.vcpu.fd, guest.vcpu.run_page
    plan.heartbeat = guest.vcpu.bounds.heartbeat
    plan.protocol, plan.signo = PROTOCOLS[protocol], SIGNAL
    plan.first, plan.rounds = first, rounds
    plan.lead_ns, plan.rescue_ns = LEAD_NS, RESCUE_NS
    plan.runs_before = way.runs_before
    found = ffi.new("struct sw_round[]", rounds)
    if protocol is Protocol.SIGNAL_MASK:
        guest.vcpu.set_signal_mask(all_signals_but(SIGNAL))
    try:
        error = lib.sw_run(plan, found)
    finally:
        if protocol is Protocol.SIGNAL_MASK:
            guest.vcpu.set_signal_mask(None)
    _check(error, "sweep")
    return bytes(ffi.buffer(found))


def sweep(system: System, what: Sweep, folder: Path) -> None:
    """All passes on one guest; two files each."""
    way, protocol = WAYS[what.way], Protocol(what.protocol)
    with create(system, way.irqchip) as guest:
        if way.sleeps:
            guest.vm.set_halt_poll(0)
        guest.load(way.program, guest.architecture.MODES[-1], way.data)
        if way.spins:
            warm_up(guest)
        # Unrecorded: kicks that come late let the guest run, and the rest warms the caches.
        one_pass(guest, way, Protocol.HANDLER_WRITES, _LATE_NS, 8)
        one_pass(guest, way, protocol, what.first, 64)
        for number in range(what.passes):
            # Elsewhere in the host's own rhythm, which moves each so many a kick of a pass.
            first = what.first - number * PASS_SHIFT
            with tracing.recorded(folder / f"{what.stem(number)}.trace"):
                found = one_pass(guest, way, protocol, first, what.rounds)
            (folder / f"{what.stem(number)}.rounds").write_bytes(found)


def cost() -> dict[str, float]:
    """Instructions of a call by the benchmark's case; the least of its batches.

    The others hold the host's own work: a tick, or what a kernel thread does since the boot.
    """
    least: dict[str, float] = {}

    def take(batch: Batch) -> None:
        if batch.valid:
            least[batch.case] = min(batch.ns_per_call, least.get(batch.case, batch.ns_per_call))

    run_all(BenchSettings(threads=(1,), rounds=12, batch_s=0.005), take)
    return least


def main(folder: Path) -> int:
    """Does what the request says; the exit code."""
    try:
        _sweep_all(folder)
    except (CannotSweepError, CannotMeasureError, NotSeenError, TracingError, OSError) as error:
        (folder / ERROR).write_text(str(error).rstrip("."), encoding="utf-8")
        return 1
    return 0


def _sweep_all(folder: Path) -> None:
    request = json.loads((folder / "request.json").read_text())
    (folder / "calibration.json").write_text(json.dumps(calibrate()))
    with System() as system, tracing.probes(SIGNAL):
        for each in request["sweeps"]:
            what = Sweep(*each)
            sweep(system, what, folder)
            print(f"{what.way} {what.protocol}", flush=True)
    (folder / "symbols").write_bytes(Path("/proc/kallsyms").read_bytes())
    (folder / "cost.json").write_text(json.dumps(cost()))
    (folder / "done").touch()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
