# SPDX-License-Identifier: GPL-2.0-only
"""What came of a race."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.kick.plan import LANDINGS, Landing, Plan
from harness.kick.statistics import clopper_pearson
from harness.native import lib

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Round:
    """One kick, as the engine noted it. Times in ns, progress in turns of the guest's loop.

    `before` is the guest's progress from the round's begin to the kick, `after` from the kick to
    the return. `value` and `error` are KVM_RUN's.
    """

    number: int
    sent_ns: int
    latency_ns: int
    delay_ns: int
    before: int
    after: int
    value: int
    error: int
    exit_reason: int
    landing: Landing
    lost: bool
    late: bool
    preempted: bool
    rescued_by_signal: bool
    unclaimed: bool


@dataclass(frozen=True)
class Summary:
    """Everything that is known of a lane's race.

    Counts by landing are maps of all landings. `spurious` counts EINTR without a kick, which is
    legal; `unexpected` returns that are neither EINTR nor an exit of the guest's program;
    `unclaimed` kicks that came before the call, which yet returned 0; `swallowed` kicks
    whose signal was gone. `latency` and `progress_after` are
    histograms: how many kicks in [2^(b-1), 2^b) ns or turns, by b; b = 0 is none at all.
    """

    plan: Plan
    kicks: int
    rounds: int
    landings: Mapping[Landing, int]
    lost: Mapping[Landing, int]
    late: Mapping[Landing, int]
    preempted: int
    spurious: int
    exits: int
    unexpected: int
    unclaimed: int
    swallowed: int
    last_error: int
    rescued: int
    handled: int
    latency: Mapping[int, int]
    progress_after: Mapping[Landing, Mapping[int, int]]
    elapsed_ns: int
    late_turns: int
    recent: tuple[Round, ...]
    notable: tuple[Round, ...]
    turns_per_second: int

    @property
    def losses(self) -> int:
        """Kicks lost, wherever they landed."""
        return sum(self.lost.values())

    @property
    def rate(self) -> float:
        """Kicks a second."""
        return self.kicks / (self.elapsed_ns / 1e9) if self.elapsed_ns else 0.0

    def upper_bound(self, landing: Landing | None = None) -> float:
        """With 95 % confidence a kick (that lands there) is lost no more often than this."""
        if landing is None:
            return upper_bound(self.losses, self.kicks)
        return upper_bound(self.lost[landing], self.landings[landing])

    def as_json(self) -> dict[str, Any]:
        """For the journal: plain words and numbers."""
        found = asdict(self)
        found["plan"] = {
            key: getattr(value, "value", value) for key, value in asdict(self.plan).items()
        }
        for name in ("landings", "lost", "late"):
            found[name] = {key.value: count for key, count in getattr(self, name).items()}
        found["progress_after"] = {
            key.value: {str(bucket): count for bucket, count in counts.items()}
            for key, counts in self.progress_after.items()
        }
        found["latency"] = {str(bucket): count for bucket, count in self.latency.items()}
        for name in ("recent", "notable"):
            found[name] = [_round_json(each) for each in getattr(self, name)]
        found.pop("recent")
        found["rate"] = round(self.rate, 1)
        found["upper_bound"] = self.upper_bound()
        return found


def _round_json(each: Round) -> dict[str, Any]:
    return {**asdict(each), "landing": each.landing.value}


def upper_bound(losses: int, kicks: int, confidence: float = CONFIDENCE) -> float:
    """Clopper and Pearson's upper bound for a probability; 3 / n for no loss in n (about).

    1.0 without a kick: nothing is known.
    """
    if kicks == 0:
        return 1.0
    if losses == 0:
        return min(1.0, -math.log(1 - confidence) / kicks)
    return clopper_pearson(losses, kicks, confidence)


def latency_percentile(parts: Sequence[Summary], share: float) -> int:
    """ns that this share (0 to 1) of all kicks did not exceed, to a power of two; 0 without any."""
    histogram = sum((Counter(part.latency) for part in parts), Counter[int]())
    seen = 0
    for bucket in sorted(histogram):
        seen += histogram[bucket]
        if seen >= share * histogram.total():
            return 1 << bucket if bucket else 0
    return 0


def read(native: Any, plan: Plan, late_turns: int, turns_per_second: int) -> Summary:
    """A `const struct ke_summary *` as a `Summary`."""

    def by_landing(array: Any) -> dict[Landing, int]:
        return {landing: int(array[index]) for index, landing in enumerate(LANDINGS)}

    def histogram(array: Any) -> dict[int, int]:
        return {b: int(array[b]) for b in range(lib.KE_BUCKETS) if array[b]}

    kept = min(int(native.ring_next), lib.KE_RING)
    noted = min(int(native.notable_next), lib.KE_NOTABLE)
    return Summary(
        plan=plan,
        kicks=int(native.kicks),
        rounds=int(native.rounds),
        landings=by_landing(native.landings),
        lost=by_landing(native.lost),
        late=by_landing(native.late),
        preempted=int(native.preempted),
        spurious=int(native.spurious),
        exits=int(native.exits),
        unexpected=int(native.unexpected),
        unclaimed=int(native.unclaimed),
        swallowed=int(native.swallowed),
        last_error=int(native.last_error),
        rescued=int(native.rescued),
        handled=int(native.handled),
        latency=histogram(native.latency),
        progress_after={
            landing: histogram(native.progress[index]) for index, landing in enumerate(LANDINGS)
        },
        elapsed_ns=int(native.elapsed_ns),
        late_turns=late_turns,
        recent=tuple(_round(native.ring[index]) for index in range(kept)),
        notable=tuple(_round(native.notable[index]) for index in range(noted)),
        turns_per_second=turns_per_second,
    )


def _round(native: Any) -> Round:
    flags = int(native.flags)
    return Round(
        number=int(native.number),
        sent_ns=int(native.sent_ns),
        latency_ns=int(native.latency_ns),
        delay_ns=int(native.delay_ns),
        before=int(native.before),
        after=int(native.after),
        value=int(native.value),
        error=int(native.error),
        exit_reason=int(native.exit_reason),
        landing=LANDINGS[native.landing],
        lost=bool(flags & lib.KE_LOST),
        late=bool(flags & lib.KE_LATE),
        preempted=bool(flags & lib.KE_PREEMPTED),
        rescued_by_signal=bool(flags & lib.KE_BY_SIGNAL),
        unclaimed=bool(flags & lib.KE_UNCLAIMED),
    )
