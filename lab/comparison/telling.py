# SPDX-License-Identifier: GPL-2.0-only
"""Changes in words: a text for a mail, JSON for programs, Markdown for pages. TELLINGS has them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from harness.reporting.verdict_text import Page, host_line
from lab.comparison.changes import Change, ChangeKind, count
from lab.results import markdown, names
from lab.results.found import FoundSuite

VERSION = 1
WIDTH = 78

#: Kinds of which many claims have the same to say, and from how many on they are told together.
_TOGETHER = (ChangeKind.UNTESTED, ChangeKind.SKIPS, ChangeKind.TESTED, ChangeKind.STALE)
_MANY = 4

#: What a claim, or a whole run, does; of one, and of several. Those that are told in the sentence.
_WORDS: Mapping[ChangeKind, tuple[str, str]] = {
    ChangeKind.FAILS: ("fails", "fail"),
    ChangeKind.NO_VERDICT: ("came to no verdict", "came to no verdict"),
    ChangeKind.UNTESTED: ("is not tested any more", "are not tested any more"),
    ChangeKind.GONE: ("is gone", "are gone"),
    ChangeKind.SKIPS: ("is tested less", "are tested less"),
    ChangeKind.HOLDS: ("holds that failed", "hold that failed"),
    ChangeKind.TESTED: ("is tested more", "are tested more"),
}


@dataclass(frozen=True)
class Side:
    """What is compared: a folder with its runs, or the file of a baseline, which has none."""

    name: str
    suites: Sequence[FoundSuite] = ()

    def lines(self) -> Iterator[str]:
        """Its name, with each run's host."""
        name = names.sentence(self.name)
        for suite in self.suites:
            host = names.sentence(host_line(suite.environment))
            which = f" {names.sentence(suite.name, 200)}" if len(self.suites) > 1 else ""
            yield f"{name}{which}: {host}"
        if not self.suites:
            yield name


def worse(changes: Sequence[Change]) -> bool:
    """Whether anything is."""
    return any(change.kind.worse for change in changes)


def sentence(changes: Sequence[Change]) -> str:
    """The verdict in plain words."""
    if worse(changes):
        parts = [*_cut(changes), *_parts(changes, bad=True)]
        return f"Worse: {', '.join(parts)}."
    if gains := _parts(changes, bad=False):
        return f"Better: {', '.join(gains)}; nothing is worse."
    if changes:
        return "Neither better nor worse: no claim holds, fails or is tested otherwise."
    return "The same: no claim has changed."


def _cut(changes: Sequence[Change]) -> list[str]:
    number = sum(change.kind is ChangeKind.CUT for change in changes)
    return [f"{count(number, 'run')} {'was' if number == 1 else 'were'} cut"] if number else []


def _parts(changes: Sequence[Change], *, bad: bool) -> list[str]:
    """`2 claims fail` and the like, the most important first."""
    found = []
    for kind, words in _WORDS.items():
        places = {each.place for each in changes if each.kind is kind and each.claim}
        runs = {each.place for each in changes if each.kind is kind and not each.claim}
        for number, noun in ((len(runs), "run"), (len(places), "claim")):
            if number and kind.worse is bad:
                found.append(f"{count(number, noun)} {words[number > 1]}")
    return found


def text(before: Side, after: Side, changes: Sequence[Change]) -> str:
    """For a terminal or a mail: the verdict, what changed, by importance, and of what."""
    page = Page(WIDTH)
    if changes:
        page.entry("", "")
    lines(page, changes)
    page.entry("", "")
    for label, side in (("before", before), ("after", after)):
        for line in side.lines():
            page.entry(label, line)
            label = ""
    return "\n".join([sentence(changes), *(line.text for line in page.lines)]) + "\n"


def lines(page: Page, changes: Sequence[Change]) -> None:
    """An entry a change, or one of many claims that are skipped, or were, for one reason."""
    groups: dict[object, list[Change]] = {}
    for number, change in enumerate(changes):
        alone = not change.reason or change.kind not in _TOGETHER
        key = number if alone else (change.kind, change.suite, change.reason)
        groups.setdefault(key, []).append(change)
    for group in groups.values():
        kind = group[0].kind
        tone = "bad" if kind.worse else "good" if kind.better else "note"
        for said in [_together(group)] if len(group) >= _MANY else map(_alone, group):
            page.entry(kind.value, said, tone)


def _alone(change: Change) -> str:
    return f"{change.place}: {change.said}" if change.place else change.said


def _together(group: Sequence[Change]) -> str:
    first = group[0]
    claims = ", ".join(change.claim for change in group)
    before = "before: " if first.kind is ChangeKind.TESTED else ""
    told = f"{len(group)} claims, {before}{first.reason}: {claims}"
    return f"{first.suite}, {told}" if first.suite else told


def as_json(before: Side, after: Side, changes: Sequence[Change]) -> str:
    """For programs."""
    document = {
        "version": VERSION,
        "worse": worse(changes),
        "sentence": sentence(changes),
        "before": _side(before),
        "after": _side(after),
        "changes": [
            {**msgspec.to_builtins(change), "worse": change.kind.worse} for change in changes
        ],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1).decode() + "\n"


def _side(side: Side) -> Mapping[str, Any]:
    runs = [{"name": each.name, "environment": dict(each.environment)} for each in side.suites]
    return {"name": side.name, "runs": runs}


def as_markdown(before: Side, after: Side, changes: Sequence[Change]) -> str:
    """For pages: a heading with the verdict, then a table."""
    told = [f"# {markdown.text(sentence(changes))}", ""]
    for label, side in (("Before", before), ("After", after)):
        told += [f"- {label}: {markdown.text(line)}" for line in side.lines()]
    if changes:
        told += ["", "| | claim | what changed |", "| --- | --- | --- |"]
    for change in changes:
        kind = f"**{change.kind.value}**" if change.kind.worse else change.kind.value
        told.append(f"| {kind} | {markdown.text(change.place)} | {markdown.text(change.said)} |")
    return "\n".join(told) + "\n"


TELLINGS: Mapping[str, Callable[[Side, Side, Sequence[Change]], str]] = {
    "text": text,
    "json": as_json,
    "md": as_markdown,
}
