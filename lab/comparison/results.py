# SPDX-License-Identifier: GPL-2.0-only
"""Results against earlier ones: suite by suite, claim by claim, test by test.

A run that was cut is worse than whatever was before it, another cut one too: of what has no result
nobody can say that it is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from lab.comparison import changes
from lab.comparison.changes import BY_CHANCE, NOTHING_MISSING, Change, ChangeKind
from lab.results import names
from lab.results.found import OF_THE_RUN, FoundClaim, FoundSuite, FoundTest, Status, counted

_NO_VERDICT = (Status.ERROR, Status.MISSED)
_Pair = tuple[FoundTest, FoundTest]


def compare(before: Sequence[FoundSuite], after: Sequence[FoundSuite]) -> list[Change]:
    """What changed, the most important first.

    Suites are paired by their names; one with one, whatever they are called.
    """
    if len(before) == len(after) == 1:
        return changes.ordered(_suite("", before[0], after[0]))
    return changes.ordered(_several(_by_name(before), _by_name(after)))


def _by_name(suites: Iterable[FoundSuite]) -> dict[str, FoundSuite]:
    return {names.sentence(suite.name, 200): suite for suite in suites}


def _several(before: Mapping[str, FoundSuite], after: Mapping[str, FoundSuite]) -> Iterator[Change]:
    for name, suite in before.items():
        if name in after:
            yield from _suite(name, suite, after[name])
        else:
            yield Change(ChangeKind.GONE, name, "", "there are no results of it any more")
    for name, suite in after.items():
        if name not in before:
            told = f"it was not there before: {counted(suite.tests())}"
            yield Change(ChangeKind.APPEARED, name, "", told)


def _suite(name: str, before: FoundSuite, after: FoundSuite) -> Iterator[Change]:
    was = {claim.name: claim for claim in before.claims}
    now = {claim.name: claim for claim in after.claims}
    if missed := [test for test in after.tests() if test.status is Status.MISSED]:
        held = [
            names.sentence(claim, 200)
            for claim, found in now.items()
            if found.status is Status.MISSED and claim in was and was[claim].status is Status.PASSED
        ]
        yield changes.cut(name, missed, sum(after.counts().values()), held)
    for claim in was:
        if claim not in now:
            yield _gone(name, was[claim])
    for claim, found in now.items():
        yield from _claim(name, was.get(claim, FoundClaim(claim, "", ())), found)


def _gone(suite: str, claim: FoundClaim) -> Change:
    tests = changes.names_of(claim.tests)
    if claim.name == OF_THE_RUN:
        said = f"no longer so: {changes.first(claim.tests)}"
        return Change(ChangeKind.OTHERWISE, suite, claim.name, said, tests)
    lost = claim.status is not Status.SKIPPED
    kind = ChangeKind.GONE if lost else ChangeKind.VANISHED
    number = changes.count(len(claim.tests), "test")
    told = names.sentence(claim.name, 200)
    return Change(kind, suite, told, f"none of its {number} is there any more", tests)


def _claim(suite: str, before: FoundClaim, after: FoundClaim) -> Iterator[Change]:
    """What changed of a claim; without tests before, all of `after` is new."""
    name = names.sentence(after.name, 200)
    was = {test.name: test for test in before.tests}
    now = {test.name: test for test in after.tests}
    pairs = [(was[test], now[test]) for test in now if test in was]
    new = [test for test in after.tests if test.name not in was]
    # What is new and bad is told as such; with any other result it has only appeared.
    pairs += [(FoundTest(each.name, Status.SKIPPED), each) for each in new if each.status.bad]
    if failed := [now for was, now in pairs if _fails_now(was, now)]:
        yield changes.fails(suite, name, failed, len(after.tests), _before(pairs, failed))
    if broke := [now for was, now in pairs if _breaks_now(was, now)]:
        yield changes.no_verdict(suite, name, broke)
    yield from _skips(suite, name, before, after, pairs)
    yield from _gains(suite, name, pairs, whole=before.status is Status.SKIPPED)
    if vanished := [test for test in before.tests if test.name not in now]:
        said = f"{changes.count(len(vanished), 'test')} fewer: {changes.listed(vanished)}"
        yield Change(ChangeKind.VANISHED, suite, name, said, changes.names_of(vanished))
    if appeared := [test for test in new if not test.status.bad]:
        said = f"{changes.count(len(appeared), 'new test')}: {changes.listed(appeared)}"
        yield Change(ChangeKind.APPEARED, suite, name, said, changes.names_of(appeared))


def _fails_now(before: FoundTest, now: FoundTest) -> bool:
    return now.status is Status.FAILED and before.status is not Status.FAILED


def _breaks_now(before: FoundTest, now: FoundTest) -> bool:
    return now.status is Status.ERROR and before.status not in _NO_VERDICT


def _before(pairs: Sequence[_Pair], failed: Sequence[FoundTest]) -> str:
    held = any(now in failed and was.status is Status.PASSED for was, now in pairs)
    return ", and held before" if held else ", and did not run before"


def _skips(
    suite: str, name: str, before: FoundClaim, after: FoundClaim, pairs: Sequence[_Pair]
) -> Iterator[Change]:
    """Tests that are skipped now, or for another reason, a change for each reason."""
    groups: dict[tuple[ChangeKind, str], list[FoundTest]] = {}
    whole = after.status is Status.SKIPPED and before.status is not Status.SKIPPED
    for was, now in pairs:
        if now.status is not Status.SKIPPED or now.reason in NOTHING_MISSING:
            continue
        if was.status is Status.SKIPPED and was.reason == now.reason:
            continue
        kind = ChangeKind.UNTESTED if whole else ChangeKind.SKIPS
        if was.status in _NO_VERDICT or (now.reason in BY_CHANCE and not whole):
            kind = ChangeKind.OTHERWISE
        groups.setdefault((kind, now.reason), []).append(now)
    word = "failed" if before.status is Status.FAILED else "was tested"
    for (kind, reason), tests in groups.items():
        said = f"{changes.some(tests, len(after.tests))} skipped: {changes.why(tests)}"
        if kind is ChangeKind.UNTESTED:
            said = f"it {word} before, and no test of it runs any more: {changes.why(tests)}"
        yield Change(kind, suite, name, said, changes.names_of(tests), reason)


def _gains(suite: str, name: str, pairs: Sequence[_Pair], *, whole: bool) -> Iterator[Change]:
    """Tests that hold now; `whole`: all of the claim's were skipped before."""
    passed = [(was, now) for was, now in pairs if now.status is Status.PASSED]
    if repaired := [now for was, now in passed if was.status is Status.FAILED]:
        said = f"{changes.count(len(repaired), 'test')} that failed now {_hold(repaired)}"
        said += f": {changes.listed(repaired)}"
        yield Change(ChangeKind.HOLDS, suite, name, said, changes.names_of(repaired))
    groups: dict[str, list[FoundTest]] = {}
    for was, now in passed:
        if was.status is Status.SKIPPED or was.status in _NO_VERDICT:
            reason = was.reason if was.status is Status.SKIPPED else "no verdict"
            groups.setdefault(reason, []).append(now)
    for reason, tests in groups.items():
        told = names.sentence(reason, 100)
        said = f"{changes.count(len(tests), 'test')} now {_hold(tests)}; before: {told}"
        kind = ChangeKind.OTHERWISE if reason in BY_CHANCE and not whole else ChangeKind.TESTED
        yield Change(kind, suite, name, said, changes.names_of(tests), told)


def _hold(tests: Sequence[FoundTest]) -> str:
    return changes.verb(len(tests), "hold")
