# SPDX-License-Identifier: GPL-2.0-only
"""What became of a mutant, from what its run left: a word, a sentence, a word for each claim."""

from __future__ import annotations

import dataclasses
import enum
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.claims import catalogue as claims
from harness.claims import known_issues
from harness.reporting import journal as journals
from harness.reporting import verdict
from harness.reporting.journal import Journal
from harness.reporting.results import TestOutcome
from harness.reporting.selection import Rest
from harness.reporting.verdict import ClaimState, Findings
from lab.campaign import state as run_state
from lab.emulation.console import last_lines, panic
from lab.emulation.machine import CONSOLE
from lab.launch import finish
from lab.launch.exit_codes import Exit
from lab.mutation.catalogue import SWEPT, Mutant

SWEEP = "sweep.json"
_CONSOLE_LINES = 2000
_MOST_SAID = 3
#: In a run's output, before what KVM could not be removed for afterwards.
STAYS = "KVM stays in use after its tests: "
_REFUSED = "does not load the KVM in"  # lab.emulation.machine
_WHILE = "while this test ran"  # lab.launch.finish, of a test under which its machine was lost
# kernel/watchdog.c, workqueue.c and hung_task.c, panics too: no processor for somebody for long.
_NO_PROCESSOR = re.compile(r"lockup|hung_task|blocked for more than", re.I)


class Fate(enum.Enum):
    """The words for mutants and for stock kernels."""

    KILLED = "killed"
    OTHERWISE = "otherwise"
    UNUSABLE = "host lost"
    STAYS = "stays in use"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"
    LEFT_OUT = "left out"
    HELD = "held"
    FALSE_ALARM = "false alarm"
    NOT_APPLIED = "does not apply"
    NOT_BUILT = "does not build"
    NOT_LOADED = "does not load"
    LOST = "lost"
    UNJUDGED = "not judged"
    CUT = "cut"

    @property
    def is_killed(self) -> bool:
        """Whether the suites saw the defect, by whatever claim."""
        return self in (Fate.KILLED, Fate.OTHERWISE, Fate.UNUSABLE, Fate.STAYS)

    @property
    def code(self) -> Exit:
        """The exit code that one such outcome gives to the whole."""
        if self in (Fate.KILLED, Fate.HELD, Fate.EQUIVALENT, Fate.LEFT_OUT):
            return Exit.HELD
        if self in (Fate.SURVIVED, Fate.FALSE_ALARM) or self.is_killed:
            return Exit.FAILED
        return Exit.SUITE_ERROR


#: What each word means, for tables.
LEGEND: Mapping[Fate, str] = {
    Fate.KILLED: "each claim that was foretold failed",
    Fate.OTHERWISE: "a claim failed, and not each that was foretold",
    Fate.UNUSABLE: "killed: the host was lost, the console says why, and the stock one was not",
    Fate.STAYS: "killed: no claim failed, but KVM cannot be removed afterwards; the stock one can",
    Fate.SURVIVED: "nothing failed",
    Fate.EQUIVALENT: "not run: it cannot be told from the stock kernel; its entry says why",
    Fate.LEFT_OUT: "not run: for other kernel versions, or for the sweep",
    Fate.HELD: "no claim failed, and none should",
    Fate.FALSE_ALARM: "a claim failed that must hold",
    Fate.NOT_APPLIED: "the semantic patch does not change what its entry says",
    Fate.NOT_BUILT: "it does not compile",
    Fate.NOT_LOADED: "the kernel does not take its modules",
    Fate.LOST: "the host was lost, and nothing says that the mutant is to blame",
    Fate.UNJUDGED: "the question was not answered",
    Fate.CUT: "interrupted before",
}
_WORDS = {
    ClaimState.HELD: "held",
    ClaimState.PARTLY: "part",
    ClaimState.NOT_TESTED: "-",
    ClaimState.NOT_RUN: "",
    ClaimState.FAILED: "FAIL",
    ClaimState.BROKEN: "error",
}


@dataclass(frozen=True)
class Judged:
    """`claims` are words by claim: FAIL, held, part, - (could not be tested), error."""

    outcome: Fate
    why: str = ""
    claims: Mapping[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> list[str]:
        """The claims that failed."""
        return [name for name, word in self.claims.items() if word == "FAIL"]


def evidence_in(lines: Sequence[str]) -> str:
    """The line of a console that says that the kernel broke; else an empty text.

    An RCU stall does not: an emulated host that others starved reports it as well.
    """
    return panic([line for line in lines if "rcu: " not in line])


def is_final(evidence: str) -> bool:
    """Whether such evidence needs no second look, as what a starved host can cause does."""
    return bool(evidence) and not _NO_PROCESSOR.search(evidence)


@dataclass(frozen=True)
class Left:
    """What a run left in its folder, and how its process ended."""

    folder: Path
    code: int | None
    why: str

    @property
    def lost(self) -> bool:
        """Whether its machine was lost; what pytest itself broke off is no loss."""
        if self.code == Exit.LOST_VM:
            return True
        text = _text(self.folder / run_state.OUTPUT)
        return "The console's last lines:" in text

    @property
    def evidence(self) -> str:
        """The console's line that says that the kernel broke; else an empty text."""
        return evidence_in(last_lines(self.folder / CONSOLE, _CONSOLE_LINES))

    @property
    def stays(self) -> str:
        """Why KVM could not be removed afterwards; empty where it could."""
        lines = _text(self.folder / run_state.OUTPUT).splitlines()
        return next((each.removeprefix(STAYS) for each in lines if each.startswith(STAYS)), "")

    @property
    def refused(self) -> str:
        """Why its modules were not loaded; empty where they were."""
        if _REFUSED in self.why:
            return self.why.rstrip(".")
        journal = self.journal
        if journal.results and all(each.reason == "no_kvm" for each in journal.results):
            lines = last_lines(self.folder / CONSOLE, _CONSOLE_LINES)
            told = [line for line in lines if "insmod" in line or "kvm" in line]
            return f"there is no /dev/kvm: {told[-1] if told else 'the console does not say why'}"
        return ""

    @property
    def journal(self) -> Journal:
        """Its journal; an empty one where there is none."""
        try:
            return journals.read(self.folder / finish.JOURNAL)
        except (OSError, journals.JournalError):
            return Journal()

    @property
    def has_swept(self) -> bool:
        """Whether a sweep came to its verdict."""
        try:
            return bool(json.loads(_text(self.folder / SWEEP)))
        except ValueError:
            return False


def judge(mutant: Mutant | None, left: Left, *, sweeps: bool, stock_ended: bool) -> Judged:
    """Judges a run that has ended; `mutant` is None for the stock kernel.

    `sweeps`: it was the instruction sweep that ran. `stock_ended`: the stock kernel's run beside it
    came to its end, so that a lost host is not the emulation's usual fault.
    """
    seen = _swept(left) if sweeps else _tested(mutant, left)
    if not seen.failed and (refused := left.refused):
        return Judged(Fate.NOT_LOADED, refused)
    if mutant is None or mutant.is_innocent:
        return _innocent(mutant, left, seen)
    if seen.failed.issuperset(mutant.claims):
        return Judged(Fate.KILLED, left.why if left.lost else "", seen.words)
    lacking = ", ".join(
        f"{name} ({seen.words.get(name) or 'not run'})"
        for name in mutant.claims
        if name not in seen.failed
    )
    if left.lost:
        where = f", in {seen.running}" if seen.running else ""
        evidence = left.evidence or left.stays
        if evidence and stock_ended:
            return Judged(Fate.UNUSABLE, f"{evidence}{where}", seen.words)
        if evidence or not seen.failed:
            why = "the console does not say why"
            if evidence:
                why = f"{evidence}, but the stock kernel's run did not come to its end either"
            return Judged(Fate.LOST, f"{left.why}{where}; {why}", seen.words)
    if seen.failed:
        return Judged(Fate.OTHERWISE, f"foretold, and did not fail: {lacking}", seen.words)
    if stock_ended and left.stays:
        return Judged(Fate.STAYS, left.stays, seen.words)
    if seen.undecided:
        return Judged(Fate.UNJUDGED, seen.undecided, seen.words)
    return Judged(Fate.SURVIVED, f"did not fail: {lacking}", seen.words)


def _innocent(one: Mutant | None, left: Left, seen: _Seen) -> Judged:
    """Of a kernel without a defect. On a baseline all claims but its own cannot be tested."""
    where = f", in {seen.running}" if seen.running else ""
    if seen.failed:
        names = ", ".join(sorted(seen.failed))
        why = f" ({left.why}{where})" if left.lost else ""
        # What is never to be is told with its evidence: it may not come again.
        told = "".join(f"; {each}" for each in seen.said[:_MOST_SAID])
        return Judged(Fate.FALSE_ALARM, f"failed: {names}{why}{told}", seen.words)
    if left.lost:
        return Judged(Fate.LOST, f"{left.why}{where}", seen.words)
    tested = {name for name, word in seen.words.items() if word in ("held", "part")}
    if one and one.is_baseline and (wrong := tested.difference(one.claims_held)):
        why = f"tested, although it is a baseline: {', '.join(sorted(wrong))}"
        return Judged(Fate.FALSE_ALARM, why, seen.words)
    if undecided := seen.undecided or (left.stays and f"{STAYS}{left.stays}"):
        return Judged(Fate.UNJUDGED, undecided, seen.words)
    return Judged(Fate.HELD, "", seen.words)


@dataclass(frozen=True)
class _Seen:
    """Words by claim, the claims that failed, why nothing is known, and what ran when it broke.

    A test that ran when its machine was lost has shown nothing of its claim but that. `said` are
    the tests that failed, with their sentences.
    """

    words: Mapping[str, str]
    failed: frozenset[str]
    undecided: str
    running: str
    said: tuple[str, ...] = ()


def _swept(left: Left) -> _Seen:
    if not left.has_swept or left.code not in (Exit.HELD, Exit.FAILED):
        why = left.why or _last_line(left.folder) or "the sweep came to no verdict"
        return _Seen({SWEPT: "error"}, frozenset(), why, "")
    failed = frozenset({SWEPT} if left.code == Exit.FAILED else ())
    return _Seen({SWEPT: "FAIL" if failed else "held"}, failed, "", "")


def _tested(mutant: Mutant | None, left: Left) -> _Seen:
    journal = left.journal
    found = verdict.judge(journal.results, planned=journal.planned, claims=claims())
    broken_off = [
        each.id
        for each in journal.results
        if each.outcome is TestOutcome.CRASHED or each.message.endswith(_WHILE)
    ]
    words = {each.claim: _WORDS[each.state] for each in found.claims}
    failed = {each.claim for each in found.having(ClaimState.FAILED)}
    if left.lost:
        failed &= {
            each.claim
            for each in journal.results
            if each.outcome in (TestOutcome.FAILED, TestOutcome.CRASHED)
            and not each.message.endswith(_WHILE)
        }
        words = {
            claim: "error" if word == "FAIL" and claim not in failed else word
            for claim, word in words.items()
        }
    return _Seen(
        words,
        frozenset(failed),
        _undecided(mutant, found, left, journal),
        ", ".join(broken_off or journal.unfinished),
        tuple(
            f"{each.id}: {each.message}"
            for each in journal.results
            if each.claim in failed and each.outcome.against_kernel
        ),
    )


def _undecided(mutant: Mutant | None, found: Findings, left: Left, journal: Journal) -> str:
    """Why a run in which nothing failed says nothing; empty where it does."""
    if journal.exit_status is None:
        return left.why or f"the suites broke off, exit code {left.code}"
    if mutant is None or mutant.is_innocent:
        broken = [each.claim for each in found.having(ClaimState.BROKEN)]
        if broken:
            return f"the suite broke in {', '.join(broken)}"
        if journal.not_run:
            return f"{len(journal.not_run)} tests did not run"
    if mutant is None:
        held = left.code == Exit.HELD or _lacks_known_bugs_only(left.code, journal)
        return "" if held else left.why or f"exit code {left.code}"
    states = {each.claim: each for each in found.claims}
    for name in (*mutant.claims, *mutant.claims_held):
        state = states.get(name)
        if state is None:
            return f"no test of {name} was planned"
        if state.state is ClaimState.BROKEN:
            return f"the suite broke in {name}"
        if state.not_run:
            return f"the time was over before {name} was tested"
        if name in mutant.claims_held and state.state is ClaimState.NOT_TESTED:
            return f"{name} could not be tested"
    return ""


def _lacks_known_bugs_only(code: int | None, journal: Journal) -> bool:
    """Whether the run is no verdict just because --without-bugs-of left tests out, as was asked."""
    version = journal.environment.get("without_bugs_of", "")
    told = code == Exit.SUITE_ERROR and journal.exit_status == code
    if not (told and version and journal.rest.not_chosen):
        return False
    bugs = known_issues.of_version(version)
    known = {test for bug in bugs for test in bug.tests}
    rest = Rest(
        {name: claim for name, claim in journal.rest.not_chosen.items() if name not in known},
        journal.rest.not_found,
    )
    without = dataclasses.replace(journal, rest=rest, exit_status=Exit.HELD)
    found, _ = finish.exit_code(without, status=Exit.HELD, stopped_by=None, require_kvm=False)
    return found is Exit.HELD


def _last_line(folder: Path) -> str:
    lines = _text(folder / run_state.OUTPUT).strip().splitlines()
    return lines[-1].strip() if lines else ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
