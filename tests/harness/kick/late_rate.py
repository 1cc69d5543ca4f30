# SPDX-License-Identifier: GPL-2.0-only
"""How often the rule of late kicks calls a sound host late: measured, on this host.

    .venv/bin/python tests/harness/kick/late_rate.py [COMPARISONS] [KICKS] [HOGS]

Makes so many small races, each with a comparison of its own, as harness/kick/verdict.py judges
them: the three protocols in turn, while HOGS processes spin beside them. Prints how many were
called late, and how often the comparison's p fell below some limits. Were p exact, a share of 0.01
would fall below 0.01; the rule is sound where no more do. Exit code 1 when one was called late.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from harness.kick.engine import measure_speed, run
from harness.kick.plan import Delays, Plan, Protocol
from harness.kick.slots import Slot, slot
from harness.kick.summary import Summary, upper_bound
from harness.kick.verdict import LateCounts, late_counts
from harness.kvm.guest import Guest, create
from harness.kvm.running import warm_up
from harness.kvm.system import System

PROTOCOLS = [each for each in Protocol if each.keeps_its_promise]
LIMITS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-6)


@dataclass
class Found:
    """All comparisons so far."""

    counts: list[LateCounts] = field(default_factory=list)
    kicks: int = 0
    preempted: int = 0
    losses: int = 0

    def take(self, summary: Summary) -> None:
        """One race, one comparison."""
        self.counts.append(late_counts([summary]))
        self.kicks += summary.kicks
        self.preempted += summary.preempted
        self.losses += summary.losses


@contextlib.contextmanager
def hogs(count: int) -> Iterator[None]:
    """So many processes that spin wherever the scheduler puts them."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for each in running:
            each.kill()
            each.wait()


def races(guest: Guest, place: Slot, comparisons: int, kicks: int) -> Found:
    """The races, on one guest."""
    found, speed = Found(), measure_speed(guest)
    for number in range(comparisons):
        protocol = PROTOCOLS[number % len(PROTOCOLS)]
        plan = Plan(protocol, kicks, delays=Delays(0, 15_000, 0), window_ns=0, seed=number + 1)
        found.take(run([guest], [plan], slot=place, speed=speed, time_limit_s=0)[0])
    return found


def report(found: Found, count_of_hogs: int) -> int:
    """Prints it all; how many comparisons were called late."""
    total = len(found.counts)
    called = sum(each.too_late() for each in found.counts)
    print(f"{total:,} comparisons of {found.kicks // total:,} kicks, {count_of_hogs} hogs beside")
    print(f"called late  {called}: at most {upper_bound(called, total):.2g} of comparisons (95 %)")
    for place in ("before", "guest"):
        late, kicks = (
            sum(getattr(e, f"{n}_{place}") for e in found.counts) for n in ("late", "all")
        )
        name = "before the entry" if place == "before" else "in the guest"
        print(f"late         {late:,} of {kicks:,} kicks {name}")
    print(f"preempted    {found.preempted:,} rounds; lost {found.losses} kicks")
    with_any = sum(each.late_before > 0 for each in found.counts)
    most = max(each.late_before for each in found.counts)
    print(f"late before  in {with_any:,} comparisons, at most {most} kicks in one")
    ps = [each.p() for each in found.counts]
    for limit in LIMITS:
        below = sum(p < limit for p in ps)
        print(f"p < {limit:<8g} {below:,}, a share of {below / total:.2g}")
    print(f"least p      {min(ps):.2g}")
    return called


def main() -> int:
    """0 when no comparison was called late."""
    comparisons, kicks, count = (
        int(sys.argv[place]) if len(sys.argv) > place else default
        for place, default in ((1, 300), (2, 2_000), (3, 0))
    )
    with slot() as place, System() as system, create(system) as guest:
        guest.load("heartbeat", guest.architecture.MODES[-1])
        warm_up(guest)
        with hogs(count):
            found = races(guest, place, comparisons, kicks)
    return int(report(found, count) > 0)


if __name__ == "__main__":
    sys.exit(main())
