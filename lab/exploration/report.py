# SPDX-License-Identifier: GPL-2.0-only
"""What an exploration found and reached, as a text for people."""

from __future__ import annotations

import shlex
from pathlib import Path

from harness.plain_text import plain
from lab.exploration.coverage import missing_pairs, never
from lab.exploration.files import Explored

_MOST_NAMED = 12
OF_SEQUENCES, OF_SUITES = "functions", "functions of the suites"


def text(explored: Explored, folder: Path, *, elsewhere: str = "") -> str:
    """The findings, each with its claim and how to see it again; then the coverage.

    `elsewhere` are words for `explore` where that is on another architecture, of which no C program
    is made.
    """
    lines = []
    for number, finding in enumerate(explored.findings, start=1):
        claim = f"{finding.claim} does not hold: " if "." in finding.claim else ""
        lines += [f"FAILED  {claim}{plain(finding.sentence)}"]
        place = shlex.quote(str(folder / f"sequence-{number}.json"))
        lines += [f"        again: kvm-conformance explore {elsewhere}--replay {place}"]
        if not elsewhere:
            lines += [f"        for a bug report, in C: kvm-conformance reproduce {place}"]
        lines += [""]
    failed = len(explored.findings)
    what = f"{failed} failed" if failed else "none failed"
    lines += [f"{explored.sequences:,} sequences were played; {what}."]
    return "\n".join([*lines, *_coverage(explored)])


def _coverage(explored: Explored) -> list[str]:
    reached = {name: dict(counts) for name, counts in explored.coverage.items()}
    if not reached:
        return []
    operations, pairs = reached.get("operations", {}), reached.get("pairs", {})
    lacking, unpaired = never(operations), missing_pairs(pairs, operations)
    lines = [
        f"Reached: {len(operations) - len(lacking)} of {len(operations)} operations, "
        f"{len(operations) ** 2 - len(unpaired):,} of {len(operations) ** 2:,} pairs, "
        f"{len(reached.get('states', {})):,} states of the model."
    ]
    if functions := reached.get(OF_SEQUENCES):
        entered = sum(map(bool, functions.values()))
        lines.append(f"Entered: {entered:,} of {len(functions):,} functions of KVM's modules.")
        if suites := reached.get(OF_SUITES):
            lines.append(f"The suites entered {sum(map(bool, suites.values())):,} of them.")
    if lacking:
        lines.append(f"Never: {', '.join(lacking)}.")
    if 0 < len(unpaired) <= _MOST_NAMED:
        lines.append(f"Pairs that never came: {'; '.join(unpaired)}.")
    return lines


def markdown(explored: Explored) -> str:
    """The coverage as tables: operations, then states of the model, the most frequent first.

    And what was not reached: pairs, and functions of the kernel where they were traced.
    """
    lines = ["| operation | times |", "| --- | --- |"]
    operations = explored.coverage.get("operations", {})
    lines += [f"| {plain(name)} | {count:,} |" for name, count in operations.items()]
    states = explored.coverage.get("states", {})
    lines += ["", "| state of the model | times |", "| --- | --- |"]
    ordered = sorted(states.items(), key=lambda each: (-each[1], each[0]))
    lines += [f"| {plain(name)} | {count:,} |" for name, count in ordered]
    pairs = missing_pairs(explored.coverage.get("pairs", {}), operations)
    lines += ["", f"Pairs of operations that never came: {len(pairs)}.", ""]
    lines += [f"- {pair}" for pair in pairs]
    lines += _functions(explored)
    return "\n".join(lines) + "\n"


def _functions(explored: Explored) -> list[str]:
    """How many of KVM's modules who entered, and the names of those that sequences did not."""
    of_sequences = explored.coverage.get(OF_SEQUENCES)
    if not of_sequences:
        return []
    of_suites = explored.coverage.get(OF_SUITES, {})
    by: dict[tuple[bool, bool], list[str]] = {}
    for name, count in of_sequences.items():
        by.setdefault((bool(count), bool(of_suites.get(name))), []).append(plain(name))
    said = {
        (True, True): "sequences and the suites",
        (True, False): "sequences alone",
        (False, True): "the suites alone",
        (False, False): "neither",
    }
    lines = ["", "| functions of KVM's modules, entered by | |", "| --- | --- |"]
    lines += [f"| {words} | {len(by.get(who, [])):,} |" for who, words in said.items()]
    for who in ((False, True), (False, False)):
        lines += ["", f"Entered by {said[who]}:", "", *(f"- {name}" for name in by.get(who, []))]
    return lines
