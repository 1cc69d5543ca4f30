# SPDX-License-Identifier: GPL-2.0-only
"""Operations that are runs which end at once, while something else is so and then is no more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from harness import ways
from harness.conditions.condition import NOTHING_BEFORE, Condition, done_before
from harness.kvm.abi import KvmError
from harness.kvm.guest import Guest
from harness.sequences import runs
from harness.sequences.operation import Arguments
from harness.sequences.subject import Subject

STATES = (0, 1, 2, 5, 11)  # of a condition that has several; the last one where it has fewer
_NOT_HERE = (KvmError, PermissionError)


def under_conditions(subject: Subject, given: Arguments) -> None:
    """Two conditions at once; then the vCPU is put back, and the guest knows nothing of it."""
    if subject.awaits_event:
        return
    guest, way = subject.guest, ways.WAYS[given["way"]]
    conditions = [subject.program.CONDITIONS[given[each]] for each in ("one", "other")]
    if any(done_before(each) != NOTHING_BEFORE for each in conditions):
        way = ways.BYTE
    with (
        subject.program.put_back(guest.vcpu),
        _so(guest, conditions[0], given["state"]),
        _so(guest, conditions[1], given["state"]),
    ):
        _leave(subject, way, given["times"], f"under {given['one']} and {given['other']}{way.said}")
    subject.unmap()  # some conditions move memory
    # KVM looks once more for what was withdrawn: an event that is none, which would end a wait.
    runs.leave(subject, ways.SIGNAL)


def _leave(subject: Subject, way: ways.WayOut, times: int, said: str) -> None:
    """So many runs; those that the byte ends change nothing."""
    guest = subject.guest
    if way.signal:  # what waits for the guest may be on its way by then
        runs.leave(subject, way)
        return
    before = guest.whole()
    for _ in range(times):
        runs.leave(subject, way)
    passed = way.counts(guest.architecture)
    subject.require_same(before, said, passed, "preset.state_untouched")


@contextmanager
def _so(guest: Guest, condition: Condition, state: int) -> Iterator[None]:
    """It is so, in this of its states, and then taken back; nothing where this KVM has it not."""
    states = condition(guest)
    with suppress(*_NOT_HERE):
        for _ in zip(range(state + 1), states, strict=False):
            pass
    yield
    with suppress(*_NOT_HERE):
        for _ in states:
            pass
