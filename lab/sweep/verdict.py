# SPDX-License-Identifier: GPL-2.0-only
"""What the kicks of a sweep say: which boundaries were covered, and whether a kick waited.

A position is a boundary between two instructions, counted from the round's beginning. Each is met
once a pass, and there are several passes, for a host's own work moves a few kicks of each.

covered    a kick's interrupt was taken at that very boundary
held back  interrupts are off there: the interrupt was taken later, at the first boundary with
           interrupts on, or when the guest was left for it; no signal can come at such a boundary
entry      the first position from which on kicks find the guest at work (or asleep, or gone)

overtaken  the kick came before the guest's entry, and the guest ran on all the same. Told by
           progress: before a kick aimed at position p the guest can have executed p - entry
           instructions, and SLACK more stand for what an interrupt's delivery and the calibration's
           error explain. A kick that waits for the host's tick runs hundreds of thousands.
           Where the guest leaves by itself: KVM_RUN returned 0 for a kick before the entry, in most
           passes alike; not judged NEAR_ENTRY before it, where the calibration's error may have
           moved the kick behind it (interrupts are off there). Where it sleeps: nothing woke it.
"""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from harness.kick.plan import Protocol
from lab.sweep.kicks import Kick, Symbols
from lab.sweep.ways import Way

SLACK = 1000
NEAR_ENTRY = 64
_NEAR = 8  # instructions: what tells taken at once from held back
_AHEAD = 64


@dataclass(frozen=True)
class Boundary:
    """One position of a way, all passes together.

    `place`: where the interrupts were taken, symbol and offset; "" where no kick is known.
    `at_once`: at that very instruction, not held back. `kicks`, `overtaken`: how many.
    """

    position: int
    counter: int | None
    place: str
    function: str
    at_once: bool
    in_kernel: bool
    kicks: int
    overtaken: int


@dataclass(frozen=True)
class Stretch:
    """Positions in a row, both ends included, and the words for them."""

    first: int
    last: int
    text: str

    def __str__(self) -> str:
        where = f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"
        return f"{where}: {self.text}"


@dataclass(frozen=True)
class SweepVerdict:
    """What a sweep of one way by one protocol found.

    `check` and `entry` are positions: the first at which the check no longer sees a kick, and the
    guest's first. `held_back` and `windows` (kicks were overtaken) are stretches between them,
    `unknown` positions without a kick. `in_window`: kicks between the check and the system call,
    in user space; `overtaken_in_window` those of them that were overtaken, `overtaken_elsewhere`
    all other single kicks (`overtaken` counts those in windows only). `most_turns` is the longest
    that a guest ran on.
    """

    way: str
    protocol: Protocol
    check: int
    entry: int
    boundaries: tuple[Boundary, ...]
    held_back: tuple[Stretch, ...]
    windows: tuple[Stretch, ...]
    unknown: tuple[int, ...]
    kicks: int
    overtaken: int
    in_window: int
    overtaken_in_window: int
    overtaken_elsewhere: int
    most_turns: int

    @property
    def positions(self) -> Iterator[int]:
        """All that it has."""
        yield from (self.check, self.entry)
        yield from (each.position for each in self.boundaries)

    @property
    def covered(self) -> int:
        """Boundaries at which a kick's interrupt was taken."""
        return sum(each.at_once for each in self.boundaries)

    @property
    def held(self) -> int:
        """Boundaries with interrupts off."""
        return sum(stretch.last - stretch.first + 1 for stretch in self.held_back)

    @property
    def control_fired(self) -> bool:
        """Whether every kick in the window was overtaken, and no other one: a control must."""
        return 0 < self.overtaken_in_window == self.in_window and not self.overtaken_elsewhere

    def coverage(self) -> str:
        """A sentence."""
        total = len(self.boundaries)
        text = f"{self.covered:,} of {total:,} boundaries"
        if self.held:
            text += f", at {self.held:,} more interrupts are off"
        if self.unknown:
            text += f", at {len(self.unknown):,} no kick was met"
        return text


def overtaken(kick: Kick, way: Way, entry: int, turn: float) -> bool:
    """Whether a kick came before the entry and the guest ran on (the rule of this module)."""
    if not kick.entered:
        return False
    if way.spins:
        return kick.rescued or kick.progress * turn > max(0, kick.position - entry) + SLACK
    if way.runs_before:
        return kick.position < entry - NEAR_ENTRY and kick.value >= 0
    return kick.rescued


def columns(passes: Sequence[Sequence[Kick]]) -> dict[int, list[Kick]]:
    """The kicks by position, in order; only positions that every pass has."""
    found: dict[int, list[Kick]] = {}
    for kick in itertools.chain.from_iterable(passes):
        found.setdefault(kick.position, []).append(kick)
    return {place: found[place] for place in sorted(found) if len(found[place]) == len(passes)}


def entry_position(table: Mapping[int, Sequence[Kick]], way: Way) -> int:
    """The first position from which on nearly all kicks find the guest entered, gone or asleep."""
    places = list(table)
    reach = places[-1] - places[0]

    def beyond(kick: Kick) -> bool:
        if way.spins:
            return 0 < kick.progress <= reach
        if way.runs_before:
            return kick.value >= 0
        return kick.entered and kick.taken is None

    shares = [sum(map(beyond, table[place])) / len(table[place]) for place in places]
    for index in range(len(places) - _AHEAD):
        if shares[index] > 0.5 and sum(shares[index : index + _AHEAD]) >= 0.9 * _AHEAD:
            return places[index]
    return places[-1] + 1


def check_position(table: Mapping[int, Sequence[Kick]]) -> int:
    """The first position at which the check does not see the kick any more, in most passes."""
    for place, column in table.items():
        known = [kick for kick in column if kick.taken is not None]
        if known and sum(kick.entered for kick in known) * 2 > len(known):
            return place
    return max(table) + 1


def judge(
    passes: Sequence[Sequence[Kick]],
    way: Way,
    protocol: Protocol,
    symbols: Symbols,
    *,
    check: int | None = None,
    entry: int | None = None,
) -> SweepVerdict:
    """The verdict on one way. `check` and `entry` where another protocol's sweep told them.

    A masked signal is no news to the check, and a control has no entry of its own.
    """
    table = columns(passes)
    check = check_position(table) if check is None else check
    entry = entry_position(table, way) if entry is None else entry
    turn = _turn(table, entry) if way.spins else 1.0
    kicks = [kick for column in table.values() for kick in column if kick.entered]
    normal = [
        kick.taken - kick.position for kick in kicks if kick.taken is not None and kick.in_kernel
    ]
    base = statistics.median(normal) if normal else 0.0
    boundaries = _mark_alone(
        [
            _boundary(column, way, entry, turn, base, symbols)
            for place, column in table.items()
            if check <= place < entry
        ]
    )
    waited = [each for each in boundaries if each.overtaken * 2 > _least(way, passes)]
    late = [kick for kick in kicks if overtaken(kick, way, entry, turn)]
    return SweepVerdict(
        way=way.name,
        protocol=protocol,
        check=check,
        entry=entry,
        boundaries=tuple(boundaries),
        held_back=_stretches([each for each in boundaries if each.kicks and not each.at_once]),
        windows=_stretches(waited),
        unknown=tuple(each.position for each in boundaries if not each.kicks),
        kicks=len(kicks),
        overtaken=sum(each.overtaken for each in waited),
        in_window=sum(kick.in_window for kick in kicks),
        overtaken_in_window=sum(kick.in_window for kick in late),
        overtaken_elsewhere=sum(not kick.in_window for kick in late),
        most_turns=max((kick.progress for kick in late), default=0),
    )


def _mark_alone(found: list[Boundary]) -> list[Boundary]:
    """Late by the clock, yet at an instruction that no neighbour has: not held back.

    The host's own work came between the reading of the clock and the way.
    """
    made = []
    for index, each in enumerate(found):
        near = {other.counter for other in found[max(0, index - 1) : index]}
        near |= {other.counter for other in found[index + 1 : index + 2]}
        alone = each.kicks > 0 and each.counter not in near
        made.append(replace(each, at_once=each.at_once or alone))
    return made


def _least(way: Way, passes: Sequence[Sequence[Kick]]) -> int:
    """Twice the overtaken kicks of a position must exceed it: one, or most of the passes."""
    return len(passes) if way.runs_before else 1


def _turn(table: Mapping[int, Sequence[Kick]], entry: int) -> float:
    """Instructions a turn of the guest's loop."""
    last = max(table)
    made = [kick.progress for kick in table[last] if kick.progress]
    return max(1.0, (last - entry) / statistics.median(made)) if made else 1.0


def _boundary(
    column: Sequence[Kick], way: Way, entry: int, turn: float, base: float, symbols: Symbols
) -> Boundary:
    """One position. Kicks that the host's own work has moved stand for none."""
    position = column[0].position
    known = [kick for kick in column if kick.taken is not None and kick.counter is not None]
    counts = Counter(kick.counter for kick in known)
    counter = counts.most_common(1)[0][0] if counts else None
    # From user space an interrupt has a longer way into the kernel, and none are off there.
    at_once = any(
        not kick.in_kernel or abs((kick.taken or 0) - position - base) <= _NEAR
        for kick in known
        if kick.counter == counter
    )
    function, offset = symbols.split(counter) if counter is not None else ("", 0)
    in_kernel = any(kick.in_kernel for kick in known if kick.counter == counter)
    return Boundary(
        position=position,
        counter=counter,
        place=f"{function}+{offset:#x}" if in_kernel else function,
        function=function,
        at_once=at_once,
        in_kernel=in_kernel,
        kicks=len(known),
        overtaken=sum(overtaken(kick, way, entry, turn) for kick in column),
    )


def _stretches(found: Sequence[Boundary]) -> tuple[Stretch, ...]:
    """Neighbours as one."""
    made = []
    numbered = enumerate(found)
    for _, group in groupby(numbered, key=lambda pair: pair[1].position - pair[0]):
        row = [each for _, each in group]
        names = list(dict.fromkeys(each.place or "?" for each in row))
        text = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]}"
        made.append(Stretch(row[0].position, row[-1].position, text))
    return tuple(made)
