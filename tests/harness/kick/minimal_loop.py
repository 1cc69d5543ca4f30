# SPDX-License-Identifier: GPL-2.0-only
"""How near the kick engine comes to a loop in C that only kicks and runs, on this host.

    .venv/bin/python tests/harness/kick/minimal_loop.py [ROUNDS] [KICKS]

Compiles minimal_loop.c beside it, then measures it and the engine (with all its records) in turn,
each with a fresh guest, on the same two processors, and without a delay before a kick. Prints the
engine's rate as a share of the loop's: the median of the rounds' ratios, and its interval.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from harness.kick.engine import measure_speed, run
from harness.kick.plan import Delays, Plan, Protocol
from harness.kick.slots import Slot, slot
from harness.kvm import arch
from harness.kvm.guest import Guest
from harness.kvm.running import warm_up
from harness.kvm.system import System
from lab.benchmark.statistics import Estimate, estimate

HERE = Path(__file__).resolve().parent
PROGRAM = HERE.parents[2] / "guest_blobs" / "x86_64" / "heartbeat.real.bin"
#: The share that the engine must reach.
WANTED = 0.9


def build(folder: Path) -> Path:
    """Compiles the loop as the extension is compiled."""
    program = folder / "minimal_loop"
    compiler = os.environ.get("CC") or shutil.which("cc") or "cc"
    command = [compiler, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
    subprocess.run([*command, "-o", program, HERE / "minimal_loop.c"], check=True)
    return program


def minimal(program: Path, kicks: int, place: Slot) -> float:
    """Kicks a second of the loop."""
    command = [program, str(kicks), str(place.vcpu), str(place.kicker), PROGRAM]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    made, elapsed_ns = (float(word) for word in done.stdout.split())
    return made / elapsed_ns * 1e9


def engine(kicks: int, place: Slot) -> float:
    """Kicks a second of the engine, with a guest as fresh as the loop's."""
    architecture = arch.current()
    with System() as system, system.create_vm() as vm:
        architecture.prepare_vm(vm)
        with Guest(vm, architecture) as guest:
            guest.load("heartbeat", "real")
            warm_up(guest)
            speed = measure_speed(guest)
            plan = Plan(Protocol.HANDLER_WRITES, kicks, delays=Delays(0, 0, 1), window_ns=0)
            (summary,) = run([guest], [plan], slot=place, speed=speed)
    assert summary.kicks == kicks
    assert summary.losses == 0
    return summary.rate


def compare(program: Path, rounds: int, kicks: int, place: Slot) -> tuple[list[float], list[float]]:
    """The rates of the loop and of the engine, by round; which comes first changes each round."""
    found: tuple[list[float], list[float]] = ([], [])
    measures: tuple[Callable[[], float], Callable[[], float]] = (
        lambda: minimal(program, kicks, place),
        lambda: engine(kicks, place),
    )
    for number in range(rounds):
        for which in (0, 1) if number % 2 else (1, 0):
            found[which].append(measures[which]())
    return found


def _words(found: Estimate) -> str:
    if found.low is None or found.high is None:
        return f"{found.median:.3f}"
    return f"{found.median:.3f} ({found.low:.3f} to {found.high:.3f})"


def main() -> int:
    """0 when the median of the ratios reaches the wanted share."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    kicks = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    with tempfile.TemporaryDirectory(prefix="minimal-loop-") as folder, slot() as place:
        theirs, ours = compare(build(Path(folder)), rounds, kicks, place)
    share = estimate([our / their for our, their in zip(ours, theirs, strict=True)])
    print(f"rate of the engine / rate of a minimal C loop, {rounds} rounds of {kicks} kicks")
    print(f"share    {_words(share)}")
    print(f"engine   {statistics.median(ours):,.0f} kicks a second")
    print(f"loop     {statistics.median(theirs):,.0f} kicks a second")
    return int(share.median < WANTED)


if __name__ == "__main__":
    sys.exit(main())
