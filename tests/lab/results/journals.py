# SPDX-License-Identifier: GPL-2.0-only
"""Journals of four runs: sound, broken, cut short, and lost before its first test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from harness.claims import catalogue
from harness.reporting import journal
from harness.reporting.results import Result, TestOutcome
from lab.results.found import FoundSuite, Status, of_journal

#: What a kernel or a file may say, and some parsers take for something else.
ODD = "KVM_RUN must end, but ok 5 it did not # SKIP [x] <a> \x1b[31m \udcff \ufffe & more"
CLAIMS = [name for name in catalogue() if not catalogue()[name].planned][:6]
TESTS = {
    f"{claim}.{way}{number}": claim for claim in CLAIMS for way in ("by_byte_", "x") for number in (1, 2)
}
_SKIPPED = 4  # each so many-th
KINDS = ("sound", "broken", "cut", "lost")


def write(kind: str, path: Path) -> Path:
    """The journal of one of KINDS."""
    with journal.Writer(path) as writer:
        writer.session({"kernel": "6.1.0-odd [x]", "tier": "emulated", "hostname": "h"}, "run1")
        writer.planned(TESTS)
        for number, (test, claim) in enumerate(TESTS.items()):
            if kind == "lost" or (kind == "cut" and number > len(TESTS) // 2):
                break
            writer.start(test)
            if kind == "cut" and number == len(TESTS) // 2:
                break
            writer.result(_result(test, claim, number, sound=kind == "sound"))
        if kind in ("sound", "broken"):
            writer.end(0 if kind == "sound" else 1)
    return path


def _result(test: str, claim: str, number: int, *, sound: bool) -> Result:
    outcome, reason, message = TestOutcome.PASSED, "", ""
    if number % _SKIPPED == 1:
        outcome, reason, message = TestOutcome.SKIPPED, "no_irqchip", "this KVM has none"
    elif not sound and number % 3 == 0:
        outcome, message = (TestOutcome.FAILED, TestOutcome.ERROR)[number % 2], ODD
    detail = f"Traceback\n{ODD}\n" if message == ODD else ""
    return Result(
        *(test, claim, outcome, "call", reason, message, detail),
        duration_s=0.0 if number % 2 else 0.25,
        worker="",
        time="2026-11-29T20:00:01.000Z",
    )


def found(kind: str, folder: Path) -> FoundSuite:
    """The same, read as results."""
    return of_journal(journal.read(write(kind, folder / f"{kind}.jsonl")), catalogue())


def counts(suite: FoundSuite) -> Mapping[str, int]:
    """Totals by our words."""
    return {each.value: suite.counts()[each] for each in Status}
