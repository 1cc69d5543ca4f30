# SPDX-License-Identifier: GPL-2.0-only
"""Runs of which a return for nothing could hide, or pretend, the end that a test looks for.

EINTR without a signal is legal, and native/run.c then calls KVM_RUN again. Where the end that a
test looks for looks the same, one such return says nothing, but many do: so the run is made again
and again, and as often without its cause. A KVM that ends many of the one and few of the other has
shown what the cause does; one that ends all of both cannot be told apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from harness.kick.verdict import InconclusiveError
from harness.kvm.call_log import ANY_EXIT
from harness.kvm.guest import Guest
from harness.kvm.run import RunResult
from harness.kvm.running import EndedForNothingError, Running
from harness.kvm.signals import CountingHandler
from harness.kvm.unmet import GOES_ON, UnmetError

MOST_RUNS = 64
#: So many more of them with the cause than without are no chance: 3.5 standard deviations where a
#: KVM ends every second run for nothing, and more where it ends fewer.
_DIFFERENCE = 20

T = TypeVar("T")


@dataclass(frozen=True)
class Tried:
    """One run: what came of it, and in words how it ended for nothing, if it did.

    `went_on`: it was one that goes on until something is done, and not to an exit.
    """

    result: RunResult
    disturbed: str = ""
    taken: int = 0
    went_on: bool = False


def undisturbed(
    with_cause: Callable[[], Tried], without_cause: Callable[[], Tried], cause: str
) -> Tried:
    """A run that did not end for nothing; the first one, on most hosts.

    Raises AssertionError where clearly more of them end with the `cause` than without;
    `InconclusiveError` where none is undisturbed.
    """
    first = with_cause()
    if not first.disturbed:
        return first
    tried = [first, *(with_cause() for _ in range(MOST_RUNS - 1))]
    control = [without_cause() for _ in range(MOST_RUNS)]
    ended = sum(bool(each.disturbed) for each in tried)
    also = sum(bool(each.disturbed) for each in control)
    if ended - also >= _DIFFERENCE:
        text = (
            f"{ended} of {MOST_RUNS} runs ended as if by a signal, without it {also} of "
            f"{MOST_RUNS}: {first.disturbed}"
        )
        kind = GOES_ON if first.went_on else "exit"
        raise UnmetError(cause, text, kind, first.result, value=0 if first.went_on else ANY_EXIT)
    for each in tried:
        if not each.disturbed:
            return each
    raise InconclusiveError(
        f"inconclusive: this KVM ends each run with EINTR and without a signal, and {also} of "
        f"{MOST_RUNS} without the cause: {cause}"
    )


def first_undisturbed(run: Callable[[], RunResult]) -> RunResult:
    """The first run that did not end for nothing, of runs whose cause is gone with each; or the
    last, where all did: no chance."""
    for _ in range(MOST_RUNS):
        result = run()
        if not result.for_nothing:
            break
    return result


def kicked_run(
    guest: Guest, signo: int, byte: int, before_the_kick: Callable[[Running], None]
) -> tuple[RunResult, int]:
    """The guest runs, then the byte is set, then one kick: the result, and how often it was taken.

    `before_the_kick` waits for what must come with the byte set. A KVM that ends such runs, and not
    those with the byte at 0, looks at the byte again. Raises as `undisturbed`.
    """

    def run(value: int) -> Tried:
        try:
            return _kicked_once(guest, signo, value, before_the_kick)
        except EndedForNothingError as error:
            guest.clear_stop()  # a run whose test gives up is asked to leave
            return Tried(error.result, str(error), went_on=True)

    found = undisturbed(
        lambda: run(byte), lambda: run(0), f"With immediate_exit={byte} set meanwhile"
    )
    return found.result, found.taken


def _kicked_once(
    guest: Guest, signo: int, byte: int, before_the_kick: Callable[[Running], None]
) -> Tried:
    guest.vcpu.immediate_exit = 0
    with CountingHandler(signo) as handler, Running(guest) as running:
        running.wait_for_progress()
        guest.vcpu.immediate_exit = byte
        before_the_kick(running)
        early = running.over()
        running.kick(signo)
        result = running.outcome()
    said = ""
    if result.for_nothing and early:
        said = f"before the kick {result.describe()}"
    elif not byte and result.spurious:
        said = result.describe()
    return Tried(result, said, handler.count())
