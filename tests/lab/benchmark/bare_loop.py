# SPDX-License-Identifier: GPL-2.0-only
"""How near the benchmark's batches come to a bare C loop on this host.

    .venv/bin/python tests/lab/benchmark/bare_loop.py [ROUNDS] [MILLISECONDS]

Compiles bare_loop.c beside it, then measures it and the batch in turn, each with a fresh guest, on
one processor. Prints the batch's rate as a share of the bare loop's: the median of the rounds'
ratios, and its interval.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lab.benchmark import measurement
from lab.benchmark.measurement import Bench, BenchSettings
from lab.benchmark.statistics import Estimate, estimate

HERE = Path(__file__).resolve().parent
PROGRAM = HERE.parents[2] / "guest_blobs" / "x86_64" / "port_io.real.bin"
KINDS = ("immediate", "pio", "einval", "getppid")
#: The share that the batches must reach.
WANTED = 0.97


def compiler() -> str | None:
    """A C compiler, or None."""
    return os.environ.get("CC") or shutil.which("cc")


def build(folder: Path) -> Path:
    """Compiles the bare loop as the extension is compiled."""
    program = folder / "bare_loop"
    command = [compiler() or "cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
    subprocess.run([*command, "-o", program, HERE / "bare_loop.c"], check=True)
    return program


@dataclass(frozen=True)
class Times:
    """ns a call: of wall time, and of the thread's time on a processor."""

    wall: float
    processor: float


def bare(program: Path, kind: str, milliseconds: float, cpu: int) -> Times:
    """The bare loop."""
    command = [program, kind, str(milliseconds), str(cpu), PROGRAM]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    calls, elapsed_ns, cpu_ns = (float(word) for word in done.stdout.split())
    return Times(elapsed_ns / calls, cpu_ns / calls)


def batch(kind: str, milliseconds: float) -> Times:
    """The benchmark's batch, with a guest as fresh as the bare loop's."""
    with Bench(BenchSettings(threads=(1,), batch_s=milliseconds / 1000, mode="real")) as bench:
        (case,) = (one for one in bench.cases if one.name == kind)
        found = bench.run(case, 1)
    assert found.valid, found.problem
    (one,) = found.times
    return Times(one.elapsed_ns / one.calls, one.cpu_ns / one.calls)


@dataclass(frozen=True)
class Share:
    """The batch's rate as a share of the bare loop's, by wall time and by time on a processor.

    They agree on a quiet host. Where others want the processor too, wall time measures who was
    made to wait: a bare loop that ends within its slice never was.
    """

    wall: Estimate
    processor: Estimate


def compare(program: Path, rounds: int, milliseconds: float) -> dict[str, Share]:
    """By kind, paired by round; which of the two comes first changes each round."""
    cpu = measurement.allowed_cpus()[0]
    pairs: dict[str, list[tuple[Times, Times]]] = {kind: [] for kind in KINDS}
    for number in range(rounds):
        for kind in KINDS:
            if number % 2:
                ours = batch(kind, milliseconds)
                theirs = bare(program, kind, milliseconds, cpu)
            else:
                theirs = bare(program, kind, milliseconds, cpu)
                ours = batch(kind, milliseconds)
            pairs[kind].append((theirs, ours))
    return {
        kind: Share(
            estimate([theirs.wall / ours.wall for theirs, ours in found]),
            estimate([theirs.processor / ours.processor for theirs, ours in found]),
        )
        for kind, found in pairs.items()
    }


def _words(found: Estimate) -> str:
    if found.low is None or found.high is None:
        return f"{found.median:.4f}"
    return f"{found.median:.4f} ({found.low:.4f} to {found.high:.4f})"


def main() -> int:
    """0 when every kind's median reaches the wanted share of the rate on a processor."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    milliseconds = float(sys.argv[2]) if len(sys.argv) > 2 else 50.0
    with tempfile.TemporaryDirectory(prefix="bare-loop-") as folder:
        found = compare(build(Path(folder)), rounds, milliseconds)
    print(f"rate of a batch / rate of a bare C loop, {rounds} rounds of {milliseconds:g} ms")
    print(f"{'':<10} {'by time on a processor':<28} by wall time")
    for kind, share in found.items():
        print(f"{kind:<10} {_words(share.processor):<28} {_words(share.wall)}")
    return int(any(share.processor.median < WANTED for share in found.values()))


if __name__ == "__main__":
    sys.exit(main())
