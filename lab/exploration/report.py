# SPDX-License-Identifier: GPL-2.0-only
"""What an exploration found and reached, as a text for people."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from pathlib import Path

from harness.plain_text import plain
from lab.exploration.coverage import missing_pairs, never
from lab.exploration.files import Explored

_MOST_NAMED = 12


def text(explored: Explored, operations: Collection[str], folder: Path) -> str:
    """The findings, each with its claim and how to see it again; then the coverage."""
    lines = []
    for number, finding in enumerate(explored.findings, start=1):
        claim = f"{finding.claim} does not hold: " if "." in finding.claim else ""
        lines += [f"FAILED  {claim}{plain(finding.sentence)}"]
        place = shlex.quote(str(folder / f"sequence-{number}.json"))
        lines += [f"        again: kvm-conformance explore --replay {place}"]
        lines += [f"        for a bug report, in C: kvm-conformance reproduce {place}", ""]
    failed = len(explored.findings)
    what = f"{failed} failed" if failed else "none failed"
    lines += [f"{explored.sequences:,} sequences were played; {what}."]
    return "\n".join([*lines, *_coverage(explored, operations)])


def _coverage(explored: Explored, operations: Collection[str]) -> list[str]:
    reached = {name: dict(counts) for name, counts in explored.coverage.items()}
    if not reached:
        return []
    counts, pairs = reached.get("operations", {}), reached.get("pairs", {})
    lacking, unpaired = never(counts, operations), missing_pairs(pairs, operations)
    lines = [
        f"Reached: {len(operations) - len(lacking)} of {len(operations)} operations, "
        f"{len(operations) ** 2 - len(unpaired):,} of {len(operations) ** 2:,} pairs, "
        f"{len(reached.get('states', {})):,} states of the model."
    ]
    if functions := reached.get("functions"):
        entered = sum(map(bool, functions.values()))
        lines.append(f"Entered: {entered:,} of {len(functions):,} functions of KVM's modules.")
    if lacking:
        lines.append(f"Never: {', '.join(lacking)}.")
    if 0 < len(unpaired) <= _MOST_NAMED:
        lines.append(f"Pairs that never came: {'; '.join(unpaired)}.")
    return lines


def markdown(explored: Explored, operations: Collection[str]) -> str:
    """The coverage as tables: operations, then states of the model, the most frequent first.

    And what was not reached: pairs, and functions of the kernel where they were traced.
    """
    lines = ["| operation | times |", "| --- | --- |"]
    counts = explored.coverage.get("operations", {})
    lines += [f"| {name} | {counts.get(name, 0):,} |" for name in operations]
    states = explored.coverage.get("states", {})
    lines += ["", "| state of the model | times |", "| --- | --- |"]
    ordered = sorted(states.items(), key=lambda each: (-each[1], each[0]))
    lines += [f"| {plain(name)} | {count:,} |" for name, count in ordered]
    pairs = missing_pairs(explored.coverage.get("pairs", {}), operations)
    lines += ["", f"Pairs of operations that never came: {len(pairs)}.", ""]
    lines += [f"- {pair}" for pair in pairs]
    if functions := explored.coverage.get("functions"):
        never_entered = [plain(name) for name, count in functions.items() if not count]
        lines += [
            "",
            f"Functions of KVM's modules that were not entered: {len(never_entered)}.",
            "",
        ]
        lines += [f"- {name}" for name in never_entered]
    return "\n".join(lines) + "\n"
