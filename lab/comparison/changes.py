# SPDX-License-Identifier: GPL-2.0-only
"""What is otherwise in results than in those before them, or than a file declares."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lab.results import names
from lab.results.found import FoundTest

#: Reasons to skip that take nothing away: the claim is about other kernels or architectures. Not
#: `no_capability`, by which a verdict calls it not applicable too: a kernel that has lost that is
#: worse than it was.
NOTHING_MISSING = frozenset({"other_architecture", "has_capability"})
#: Reasons that come and go by chance on one and the same host. They take a claim away only where
#: all of its tests are skipped.
BY_CHANCE = frozenset({"busy_host", "repeated_interrupt"})
_SHOWN = 3


class ChangeKind(enum.Enum):
    """What changed, the most important first.

    GONE: a claim or a kernel that the later results have not. OTHERWISE: what is skipped by chance,
    or came to no verdict before. STALE: what a file declares, and is not so any more.
    """

    FAILS = "fails"
    CUT = "cut"
    NO_VERDICT = "no verdict"
    UNTESTED = "not tested"
    GONE = "gone"
    SKIPS = "skips"
    HOLDS = "holds"
    TESTED = "tested"
    STALE = "stale"
    VANISHED = "vanished"
    APPEARED = "appeared"
    OTHERWISE = "otherwise"

    @property
    def worse(self) -> bool:
        """Whether results with it are worse than those before them."""
        return self in _WORSE

    @property
    def better(self) -> bool:
        """Whether they are better by it."""
        return self in (ChangeKind.HOLDS, ChangeKind.TESTED)


_WORSE = (
    *(ChangeKind.FAILS, ChangeKind.CUT, ChangeKind.NO_VERDICT),
    *(ChangeKind.UNTESTED, ChangeKind.GONE, ChangeKind.SKIPS),
)


@dataclass(frozen=True)
class Change:
    """Of a claim, or of a whole suite where `claim` is empty.

    `suite` is empty where each side has one run only. `reason` is the word of a skip, `said` what
    there is to say as a clause, `commit` the known bug's of the kernel by which all `tests` fail.
    """

    kind: ChangeKind
    suite: str
    claim: str
    said: str
    tests: tuple[str, ...] = ()
    reason: str = ""
    commit: str = ""

    @property
    def place(self) -> str:
        """The claim, behind the suite's name where there is one."""
        return ", ".join(filter(None, (self.suite, self.claim)))


def ordered(changes: Iterable[Change]) -> list[Change]:
    """The most important first; among equals they stay as they are."""
    importance = list(ChangeKind)
    return sorted(changes, key=lambda change: importance.index(change.kind))


def fails(suite: str, claim: str, tests: Sequence[FoundTest], of: int, before: str = "") -> Change:
    """Tests fail, of so many that the claim has; `before` is what they did."""
    issues = [test.issue for test in tests]
    known = {issue.commit: issue for issue in issues if issue}
    said = f"{some(tests, of)} {verb(len(tests), 'fail')}{before}: {first(tests)}"
    for issue in known.values():
        said = f"{said.removesuffix('.')}. {issue.name_it()}"
    commit = ", ".join(known) if all(issues) else ""
    return Change(ChangeKind.FAILS, suite, claim, said, names_of(tests), commit=commit)


def no_verdict(suite: str, claim: str, tests: Sequence[FoundTest]) -> Change:
    """Tests came to no verdict."""
    said = f"{count(len(tests), 'test')} came to no verdict: {first(tests)}"
    return Change(ChangeKind.NO_VERDICT, suite, claim, said, names_of(tests))


def cut(suite: str, missed: Sequence[FoundTest], of: int, held: Sequence[str] = ()) -> Change:
    """A run did not come to its end; `held` are claims that did before, and lack tests now."""
    have = "has" if len(missed) == 1 else "have"
    said = f"the run was cut: {len(missed)} of {count(of, 'test')} {have} no result"
    if held:
        more = f" and {len(held) - _SHOWN} more" if len(held) > _SHOWN else ""
        said += f"; {count(len(held), 'claim')} held before: {', '.join(held[:_SHOWN])}{more}"
    return Change(ChangeKind.CUT, suite, "", said, names_of(missed))


def names_of(tests: Iterable[FoundTest]) -> tuple[str, ...]:
    """Their names."""
    return tuple(names.sentence(test.name, 200) for test in tests)


def first(tests: Sequence[FoundTest]) -> str:
    """What the first of them says, and which others there are."""
    told = f"{names.sentence(tests[0].name, 200)}: {names.sentence(tests[0].message)}"
    others = [names.sentence(test.name, 200) for test in tests[1:_SHOWN]]
    if others:
        told = f"{told.removesuffix('.')}; also {', '.join(others)}"
    return f"{told} and {len(tests) - _SHOWN} more" if len(tests) > _SHOWN else told


def listed(tests: Sequence[FoundTest]) -> str:
    """The names of some of them, and how many others there are."""
    told = ", ".join(names.sentence(test.name, 200) for test in tests[:_SHOWN])
    return f"{told} and {len(tests) - _SHOWN} more" if len(tests) > _SHOWN else told


def some(tests: Sequence[FoundTest], of: int) -> str:
    """How many they are, of so many that the claim has."""
    return f"{len(tests)} of {count(of, 'test')}"


def why(tests: Sequence[FoundTest]) -> str:
    """The word of a skip, with what the first of the tests says of it."""
    message = names.sentence(tests[0].message)
    word = names.sentence(tests[0].reason, 100) or "no reason"
    return f"{word} ({message})" if message else word


def count(number: int, word: str) -> str:
    """`1 test`, `2 tests`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def verb(number: int, word: str) -> str:
    """`fails` of one, `fail` of several."""
    return f"{word}s" if number == 1 else word
