# SPDX-License-Identifier: GPL-2.0-only
"""What a race says about the kernel: held, lost, late or inconclusive, and the sentence for it.

The rules, in the order in which they apply:

lost          A kick was lost (the supervisor had to end the run), or KVM_RUN returned 0 although
              the byte was set before the call (unclaimed), or a kick's signal was gone after the
              run, neither handled nor pending (swallowed), or KVM_RUN returned something that
              neither a kick nor the guest's program explains (unexpected). One is enough: a sound
              kernel gives none.
late          Kicks sent before the guest made progress were late more often than kicks sent while
              it ran. A kick that meets the running guest takes it out by an interrupt, and how long
              an interrupt takes is the host's affair. A kick that comes before the entry is seen
              by a check, and needs none. So on a sound kernel the former are late at least as
              often as the latter, whatever the host's load, and if they are not, a check is
              missing: the vCPU entered the guest with work pending. The comparison is Fisher's
              exact test, one-sided, at LATE_P, and at least LATE_LEAST such rounds. A run of the
              suites holds fewer than a hundred comparisons, so a sound kernel is called late in
              fewer than one run of ten thousand. Timers are left out: nobody sees the guest when
              they fire. So are several kickers: their kicks cannot be told apart.
              Late as well when more than one in ten of the kicks that met the running guest was,
              and GUEST_LEAST at least: then no interrupt of their own took it out, and it ran until
              something else did. Of some 276,000 such kicks to a sound guest, busy host or not,
              none was (docs/race-verdicts.md).
inconclusive  The run ended before its budget was spent, or a landing has fewer kicks than its
              minimum, or the control lost no kick in the window: then nothing is known about the
              window, for a kick could not have been lost there.
held          Otherwise. What that bounds is `RaceVerdict.bound`.
"""

from __future__ import annotations

import enum
import errno
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.kick.plan import LANDINGS, Delivery, Landing, Protocol
from harness.kick.statistics import fisher_exact
from harness.kick.summary import Round, Summary, upper_bound
from harness.kvm.unmet import CONTENT, UnmetError

LATE_P = 1e-6
LATE_LEAST = 5
GUEST_LEAST = 10
GUEST_SHARE = 0.1
MOST_EVIDENCE = 10
_BEFORE_PROGRESS = (Landing.IN_WINDOW, Landing.IN_ENTRY)


class RaceOutcome(enum.Enum):
    """The four verdicts. The values are the words of reports."""

    HELD = "held"
    LOST = "lost"
    LATE = "late"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class RaceVerdict:
    """What came of one race, or of several that are judged as one.

    `text` is the sentence for a report, without the word; `evidence` are rounds and counts that
    went wrong, one sentence each. `bound`: with 95 % confidence a kick is lost no more often.
    """

    outcome: RaceOutcome
    text: str
    evidence: tuple[str, ...]
    kicks: int
    losses: int
    bound: float
    landings: Mapping[Landing, int]

    def explain(self) -> str:
        """All of it, the word first: what a kernel maintainer is sent."""
        lines = [f"{self.outcome.value}: {self.text}", *self.evidence]
        return "\n  ".join(lines)


@dataclass(frozen=True)
class LateCounts:
    """Late kicks and all kicks, of those that a check sees and of those that an interrupt takes."""

    late_before: int
    all_before: int
    late_guest: int
    all_guest: int

    def p(self) -> float:
        """How likely so many late kicks before the entry are, were they no more frequent there."""
        if not self.late_before:
            return 1.0
        in_time = (self.all_before - self.late_before, self.all_guest - self.late_guest)
        return fisher_exact((self.late_before, self.late_guest), in_time)

    def too_late(self) -> bool:
        """The rule of this module's text."""
        return self.eaten() or (self.late_before >= LATE_LEAST and self.p() < LATE_P)

    def eaten(self) -> bool:
        """Whether many kicks to the running guest waited: their interrupts do not end the run."""
        many = self.late_guest > self.all_guest * GUEST_SHARE
        return many and self.late_guest >= GUEST_LEAST


def judge(
    race: Summary | Sequence[Summary],
    *,
    control: Summary | None,
    minima: Mapping[Landing, int] | None = None,
) -> RaceVerdict:
    """The verdict of a race, or of several races judged as one.

    `control` is what the control of the same guest did: without one, or without a loss in it, the
    race proves nothing. `minima` are the kicks that must have landed where the test promises.
    """
    parts = [race] if isinstance(race, Summary) else list(race)
    landings = landed(parts)
    kicks = sum(part.kicks for part in parts)
    losses = sum(part.losses for part in parts)
    text, evidence = "", _wrong(parts)
    outcome = RaceOutcome.HELD
    if evidence:
        outcome = RaceOutcome.LOST
        text = _text_of_loss(parts, kicks, losses, evidence)
    elif (counts := late_counts(parts)).too_late():
        outcome, text = RaceOutcome.LATE, _text_of_late(counts)
        evidence = _rounds(parts, late=True)
    elif gaps := _gaps(parts, control, landings, minima or {}):
        outcome, text, evidence = RaceOutcome.INCONCLUSIVE, gaps[0], tuple(gaps[1:])
    else:
        text = f"no kick was lost in {kicks:,}: at most {_percent(upper_bound(0, kicks))}"
    bound = upper_bound(losses, kicks)
    return RaceVerdict(outcome, text, evidence, kicks, losses, bound, landings)


class InconclusiveError(Exception):
    """A race that shows nothing. It fails the run, and says nothing about the kernel."""


_BEGINS: Mapping[Protocol, str] = {
    Protocol.HANDLER_WRITES: "With a handler that sets immediate_exit",
    Protocol.KICKER_WRITES: "With immediate_exit set and a signal sent behind it",
    Protocol.SIGNAL_MASK: "With a signal that KVM_SET_SIGNAL_MASK lets in",
}


def require_held(verdict: RaceVerdict, races: Sequence[Summary]) -> None:
    """Raises, with the word first, unless the verdict of these races is held.

    AssertionError speaks against the kernel; `InconclusiveError` does not.
    """
    __tracebackhide__ = True
    if verdict.outcome is RaceOutcome.INCONCLUSIVE:
        raise InconclusiveError(verdict.explain())
    if verdict.outcome is RaceOutcome.HELD:
        return
    wrong = [each for each in races if each.losses or each.swallowed or each.unexpected]
    error = UnmetError("", verdict.explain(), "race" if wrong else CONTENT, *wrong[:1])
    if wrong:
        error.circumstance = _BEGINS.get(wrong[0].plan.protocol, "")
    raise error


def landed(parts: Sequence[Summary]) -> dict[Landing, int]:
    """How many kicks of these races landed where."""
    return {place: sum(part.landings[place] for part in parts) for place in LANDINGS}


def lacking(landings: Mapping[Landing, int], minima: Mapping[Landing, int]) -> list[Landing]:
    """The landings with fewer kicks than their minimum."""
    return [place for place, least in minima.items() if landings[place] < least]


def late_counts(parts: Sequence[Summary]) -> LateCounts:
    """What the rule of late kicks compares."""
    seen = [
        part
        for part in parts
        if part.plan.delivery is not Delivery.TIMER
        and part.plan.kickers == 1
        and part.plan.burst == 1
    ]

    def count(places: Sequence[Landing], late: bool) -> int:
        return sum((part.late if late else part.landings)[each] for part in seen for each in places)

    guest = (Landing.IN_GUEST,)
    return LateCounts(
        late_before=count(_BEFORE_PROGRESS, True),
        all_before=count(_BEFORE_PROGRESS, False),
        late_guest=count(guest, True),
        all_guest=count(guest, False),
    )


def fired(control: Summary) -> bool:
    """Whether the control lost a kick in the window, as it must.

    A guest that leaves KVM_RUN by itself cannot keep a kick for long. There it is a run that
    returned 0 although the kick had come before it.
    """
    seen = (each for each in control.notable if each.landing is Landing.IN_WINDOW)
    return control.lost[Landing.IN_WINDOW] > 0 or any(each.unclaimed for each in seen)


def describe_round(found: Round, summary: Summary) -> str:
    """One round as a sentence without its full stop."""
    said = f"kick {found.number:,}: {_where(found.landing, summary.plan.protocol)}"
    if found.unclaimed and not found.lost:
        return f"{said}, yet KVM_RUN returned {found.value} (exit_reason {found.exit_reason})"
    ran = f"; the guest then ran on for {_seconds(found.latency_ns)} ({found.after:,} turns)"
    if found.lost and not found.after:
        ran = f"; KVM_RUN then held it for {_seconds(found.latency_ns)} without a turn of the guest"
    if found.lost and summary.plan.halts:
        ran = f"; the vCPU then slept on for {_seconds(found.latency_ns)}"
    if not found.lost:
        return f"{said}{ran} until it was answered"
    how = "signals of the supervisor" if found.rescued_by_signal else "the stop word"
    return f"{said}{ran} until {how} ended the run"


def _where(landing: Landing, protocol: Protocol) -> str:
    signal = "the signal" if protocol is Protocol.SIGNAL_MASK else "the signal's handler"
    came = "came" if protocol is Protocol.SIGNAL_MASK else "ran"
    return {
        Landing.BEFORE_CHECK: f"{signal} {came} before the check of the flag",
        Landing.IN_WINDOW: f"{signal} {came} between the check of the flag and KVM_RUN",
        Landing.IN_ENTRY: "the signal came in KVM_RUN, before the guest made progress",
        Landing.IN_GUEST: "the signal came while the guest ran",
        Landing.AFTER_EXIT: "the signal came when KVM_RUN had another reason to return",
    }[landing]


def _wrong(parts: Sequence[Summary]) -> tuple[str, ...]:
    """Everything that makes a race lost, as sentences; empty on a sound kernel."""
    found: list[str] = []
    for part in parts:
        if part.unclaimed:
            found.append(
                f"{part.unclaimed:,} times KVM_RUN returned 0 although the byte was set, or the "
                "signal sent, before the call"
            )
        if part.swallowed:
            found.append(
                f"the signals of {part.swallowed:,} kicks were gone after KVM_RUN, neither handled "
                "nor pending"
            )
        if part.unexpected:
            name = errno.errorcode.get(part.last_error, str(part.last_error))
            last = f"-1 with {name}" if part.last_error else "0"
            found.append(
                f"{part.unexpected:,} times KVM_RUN returned what neither a kick nor the guest's "
                f"program explains, at last {last}"
            )
        if part.losses:
            places = ", ".join(
                f"{part.lost[place]:,} of {part.landings[place]:,} {place.value}"
                for place in LANDINGS
                if part.lost[place]
            )
            enough = part.plan.enough_losses
            ended = ", and ended there" if enough and part.losses >= enough else ""
            found.append(f"{_name(part)}: lost {places}{ended}")
    return tuple(found) + _rounds(parts, late=False)


def _rounds(parts: Sequence[Summary], *, late: bool) -> tuple[str, ...]:
    found = [
        describe_round(each, part)
        for part in parts
        for each in part.notable
        if (each.late if late else each.lost or each.unclaimed)
    ]
    return tuple(found[:MOST_EVIDENCE])


def _text_of_loss(
    parts: Sequence[Summary], kicks: int, losses: int, evidence: Sequence[str]
) -> str:
    """The sentence says by itself what was seen: `evidence` is not empty, the gravest first."""
    for part in parts:
        for each in part.notable:
            if each.lost:
                was = "was" if losses == 1 else "were"
                first = describe_round(each, part)
                bound = _percent(upper_bound(losses, kicks))
                return f"{losses:,} of {kicks:,} kicks {was} lost, at most {bound}; {first}"
    if losses:
        return f"{losses:,} of {kicks:,} kicks were lost"
    return f"in {kicks:,} kicks: {'; '.join(evidence[:2])}"


def _text_of_late(counts: LateCounts) -> str:
    if counts.eaten():
        return (
            f"{counts.late_guest:,} of {counts.all_guest:,} kicks sent while the guest ran waited "
            "for something else to end the run: the interrupt that comes with a signal takes the "
            "guest out, and KVM entered it again with the signal pending"
        )
    return (
        f"{counts.late_before:,} of {counts.all_before:,} kicks sent before the guest made "
        f"progress waited for something else to end the run, against {counts.late_guest:,} of "
        f"{counts.all_guest:,} sent while it ran (Fisher's exact test: p = {counts.p():.1g}): the "
        "vCPU entered the guest with a signal pending"
    )


def _gaps(
    parts: Sequence[Summary],
    control: Summary | None,
    landings: Mapping[Landing, int],
    minima: Mapping[Landing, int],
) -> list[str]:
    """Why nothing is known; empty when something is."""
    found = []
    for part in parts:
        # With several kickers one return answers what all of them have sent.
        if part.kicks * part.plan.kickers < part.plan.kicks:
            found.append(f"{_name(part)} ended after {part.kicks:,} kicks of {part.plan.kicks:,}")
    found += [
        f"{landings[place]:,} kicks landed {place.value}, and {minima[place]:,} are needed"
        for place in lacking(landings, minima)
    ]
    if control is None:
        found.append("no control ran beside it")
    elif not fired(control):
        found.append(
            "the control, which must lose kicks, lost none of "
            f"{control.landings[Landing.IN_WINDOW]:,} in the window "
            f"({control.kicks:,} kicks in all)"
        )
    return found


def _name(part: Summary) -> str:
    return f"{part.plan.protocol.value} by {part.plan.delivery.value}"


def _percent(share: float) -> str:
    percent = share * 100
    number = f"{percent:.2g}" if percent < 10 else f"{percent:.0f}"
    return f"{number} % with 95 % confidence"


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e9:.2g} s"
