# SPDX-License-Identifier: GPL-2.0-only
"""The text of a verdict, which tells it in ten seconds.

The order is that of interest from the bottom up, for a terminal shows its last lines: what held,
what could not be tested, what failed, and the verdict in one sentence.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.claims import Chapter, Claim, known_issues
from harness.claims.known_issues import KnownIssue
from harness.reporting.results import CALLS, Result, TestOutcome
from harness.reporting.selection import Rest
from harness.reporting.verdict import ClaimState, Finding, Findings

#: The property of a test's result that says why the kernel's log was not watched whole.
LOG_INCOMPLETE = "kernel_log_incomplete"
_LABEL = 12
#: The property of a result that has a sequence which can be played again.
SEQUENCE = "sequence"
_REPRODUCE = "kvm-conformance reproduce RESULTS, where RESULTS is this run's folder"
_SHOWN_FAILURES = 3


@dataclass(frozen=True)
class Line:
    """A line of text and how it is marked where the terminal has colours."""

    text: str
    tone: str = ""

    @property
    def markup(self) -> dict[str, bool]:
        """Arguments for pytest's terminal writer and for click.style."""
        tones = {"good": {"green": True}, "bad": {"red": True}, "note": {"yellow": True}}
        return dict(tones.get(self.tone, {}))


def render(
    findings: Findings,
    *,
    environment: Mapping[str, str],
    claims: Mapping[str, Claim],
    chapters: Mapping[str, Chapter],
    width: int = 80,
    absent: bool = False,
    architecture: str = "",
    in_order: bool = True,
) -> list[Line]:
    """The verdict as lines no longer than ``width``.

    ``absent`` adds what the catalogue holds and this run did not have. ``in_order``: the run ended
    as it must.
    """
    page = Page(max(width - 1, 40))
    page.title("Verdict on kvm_run->immediate_exit")
    page.entry("host", host_line(environment))
    if parameters := environment.get("parameters", ""):
        page.entry("parameters", parameters)
    _held(page, findings, claims, chapters)
    _not_tested(page, "not tested", findings.untested(), claims)
    _not_tested(page, "n/a", findings.untested(applies=False), claims)
    _not_run(page, findings, claims)
    _left_out(page, findings, claims)
    _unwatched(page, findings)
    if absent:
        _absent(page, findings, claims, architecture)
    _broken(page, findings)
    issues = known_issues.explaining(environment)
    _failed(page, findings, claims, issues)
    text, tone = sentence(findings, issues, in_order=in_order)
    page.entry("VERDICT", text, tone)
    return page.lines


class Page:
    """Wraps entries of a label and a text."""

    def __init__(self, width: int) -> None:
        self._width = width
        self.lines: list[Line] = []

    def title(self, text: str) -> None:
        self.lines.append(Line(f" {text} ".center(self._width, "-")))

    def entry(self, label: str, text: str, tone: str = "", indent: int = 0) -> None:
        """A text behind its label, wrapped under itself. Names are never cut."""
        first = label.ljust(_LABEL) + " " * indent
        wrapped = textwrap.wrap(
            text,
            self._width,
            initial_indent=first,
            subsequent_indent=" " * len(first),
            break_long_words=False,
            break_on_hyphens=False,
        )
        self.lines.extend(Line(line, tone) for line in wrapped or [first.rstrip()])


def host_line(environment: Mapping[str, str]) -> str:
    """Kernel, architecture, backend and tier in one line, and what own options left out."""
    parts = [
        f"Linux {environment.get('kernel', 'unknown')} {environment.get('architecture', '')}",
        environment.get("backend", ""),
    ]
    emulator, under = environment.get("emulator"), environment.get("virtualization", "none")
    nested = f"nested under {under}" if under != "none" else ""
    parts.append(f"emulated by {emulator}" if emulator else nested)
    tier = environment.get("tier", "")
    parts.append(f"tier {tier}" if tier else "")
    parts.append("one variant of each test" if environment.get("variants") == "one" else "")
    bugs_of = environment.get("without_bugs_of")
    parts.append(f"without the tests that known bugs of Linux {bugs_of} fail" if bugs_of else "")
    return ", ".join(part.strip() for part in parts if part)


def _short(claim: str) -> str:
    return claim.partition(".")[2] or claim or "(unknown)"


def _held(
    page: Page,
    findings: Findings,
    claims: Mapping[str, Claim],
    chapters: Mapping[str, Chapter],
) -> None:
    label = "held"
    held = findings.having(ClaimState.HELD)
    for chapter in chapters.values():
        names = [
            _short(finding.claim)
            for finding in held
            if finding.claim in claims and claims[finding.claim].chapter == chapter.name
        ]
        if names:
            page.entry(label, f"{chapter.prefix}: {', '.join(names)}", "good")
            label = ""
    label = "in part"
    for finding in findings.having(ClaimState.PARTLY):
        tested = len(finding.of(TestOutcome.PASSED))
        counts = f"{tested} of {finding.tests} tests ran and held"
        if finding.not_chosen:
            chosen = finding.tests - finding.not_chosen
            counts = f"{chosen} of {finding.tests} tests were chosen, {tested} ran and held"
        text = "; ".join([counts, *_reasons(finding)])
        page.entry(label, f"{finding.claim}: {text}", "good")
        label = ""


def _reasons(finding: Finding) -> list[str]:
    """Why tests of a claim did not run, each reason once."""
    prose: dict[str, str] = {}
    for result in finding.of(TestOutcome.SKIPPED):
        prose.setdefault(result.reason, result.message)
    reasons = [f"{token} ({text})" if text else token for token, text in prose.items()]
    return reasons + (["the run ended before its turn"] if finding.not_run else [])


def _not_tested(
    page: Page, label: str, found: Sequence[Finding], claims: Mapping[str, Claim]
) -> None:
    groups: dict[str, list[str]] = {}
    for finding in found:
        groups.setdefault("; ".join(_reasons(finding)), []).append(finding.claim)
    for reason, names in groups.items():
        page.entry(label, _names(names, claims), "note")
        page.entry("", reason, "note", indent=2)
        label = ""


def _not_run(page: Page, findings: Findings, claims: Mapping[str, Claim]) -> None:
    names = [finding.claim for finding in findings.having(ClaimState.NOT_RUN)]
    if names:
        page.entry("not run", _names(names, claims), "note")
        page.entry("", "the run ended before their turn", "note", indent=2)


def _left_out(page: Page, findings: Findings, claims: Mapping[str, Claim]) -> None:
    names = [finding.claim for finding in findings.having(ClaimState.NOT_CHOSEN)]
    if names:
        page.entry("not chosen", _names(names, claims), "note")
        page.entry("", "something else than --claim and --suite left them out", "note", indent=2)
    if findings.rest.not_found:
        page.entry("not found", _names(findings.rest.not_found, claims), "bad")
        page.entry("", "no test of theirs is below suites/", "bad", indent=2)


def _unwatched(page: Page, findings: Findings) -> None:
    """Tests during which an alarm of the kernel might have been missed, by why."""
    label = "log"
    found = Counter(
        str(result.properties[LOG_INCOMPLETE])
        for finding in findings.claims
        for result in finding.results
        if LOG_INCOMPLETE in result.properties
    )
    for why, number in found.items():
        page.entry(label, f"the kernel's was not watched whole in {_tests(number)}: {why}", "note")
        label = ""


def _names(names: Sequence[str], claims: Mapping[str, Claim]) -> str:
    """Claims as ``prefix: a, b; prefix: c``; ``all of prefix`` is not worth its own form."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.partition(".")[0] if name in claims else "", []).append(_short(name))
    return "; ".join(f"{prefix}: {', '.join(found)}" for prefix, found in groups.items())


def _absent(page: Page, findings: Findings, claims: Mapping[str, Claim], architecture: str) -> None:
    present = {finding.claim for finding in findings.claims} | set(findings.rest.not_found)
    missing = [claim for claim in claims.values() if claim.id not in present]
    waiting = [c for c in missing if c.planned and c.applies_to(architecture)]
    if waiting:
        page.entry("no test yet", _names([claim.id for claim in waiting], claims))
    for claim in missing:
        if claim.command and claim.applies_to(architecture):
            text = f"{_names([claim.id], claims)}, by `kvm-conformance {claim.command}`"
            page.entry("elsewhere", text)


def _broken(page: Page, findings: Findings) -> None:
    label = "not judged"
    for finding in findings.having(ClaimState.BROKEN):
        errors = finding.of(TestOutcome.ERROR)
        page.entry(label, f"{finding.claim}: no verdict in {_tests(len(errors))}", "bad")
        _evidence(page, errors)
        label = ""
    if findings.collection_errors:
        text = f"{_count(findings.collection_errors, 'error')} outside of the tests, see above"
        page.entry(label, text, "bad")


def _failed(
    page: Page,
    findings: Findings,
    claims: Mapping[str, Claim],
    issues: Mapping[str, KnownIssue],
) -> None:
    for finding in findings.having(ClaimState.FAILED):
        bad = finding.of(TestOutcome.FAILED, TestOutcome.CRASHED)
        name = finding.claim or "(unknown claim)"
        page.entry("FAILED", f"{name} ({len(bad)} of {_tests(len(finding.results))})", "bad")
        if finding.claim in claims:
            page.entry("", claims[finding.claim].meaning, indent=2)
        for issue in dict.fromkeys(issues[each.id] for each in bad if each.id in issues):
            page.entry("", issue.explain(), indent=2)
        _evidence(page, bad)


def _evidence(page: Page, results: Sequence[Result]) -> None:
    for result in results[:_SHOWN_FAILURES]:
        crash = "crashed: " if result.outcome is TestOutcome.CRASHED else ""
        page.entry("", f"{result.id}: {crash}{result.message}", indent=2)
    if len(results) > _SHOWN_FAILURES:
        page.entry("", f"and {len(results) - _SHOWN_FAILURES} more", indent=2)
    if any({SEQUENCE, CALLS} & result.properties.keys() for result in results):
        page.entry("", f"For a bug report, as one C file: {_REPRODUCE}", indent=2)


def sentence(
    findings: Findings,
    issues: Mapping[str, KnownIssue] | None = None,
    *,
    in_order: bool = True,
) -> tuple[str, str]:
    """The verdict in one sentence or three, and its tone; ``issues`` are known, by result id.

    It is never that all held where the run as a whole did not end ``in_order``.
    """
    failed = len(findings.having(ClaimState.FAILED))
    held = len(findings.having(ClaimState.HELD, ClaimState.PARTLY))
    untested = len(findings.untested())
    broken = len(findings.having(ClaimState.BROKEN))
    rest = []
    if untested:
        rest.append(f"{_claims(untested)} could not be tested.")
    if broken or findings.collection_errors:
        rest.append("Some tests came to no verdict: this run is no proof of the rest.")
    if findings.run < findings.planned:
        rest.append(f"The run ended early: {findings.run} of {_tests(findings.planned)} ran.")
    rest += missing(findings.rest, findings.planned)
    if failed:
        first = f"FAILED. {failed} of {_claims(failed + held)} tested does not hold on this kernel."
        if failed > 1:
            first = first.replace("does not hold", "do not hold")
        first = f"{first.removesuffix('.')}{_by_known_issues(findings, issues or {})}."
        return " ".join([first, *rest]), "bad"
    if broken or findings.collection_errors:
        return " ".join(["none.", f"{_claims(held)} held.", *rest]), "bad"
    if not held:
        how = "was" if findings.rest else "could be"
        first = f"none. Nothing {how} tested; this says nothing about the kernel."
        return " ".join([first, *missing(findings.rest, findings.planned)]), "note"
    if findings.run < findings.planned or findings.rest:
        return " ".join(["incomplete.", f"{_claims(held)} held so far.", *rest]), "note"
    if not in_order:
        return "none. What ran held, but the run did not end as it must.", "bad"
    every = "The one claim" if held == 1 else f"All {_claims(held)}"
    verb = "holds" if held == 1 else "hold"
    return " ".join([f"held. {every} that could be tested {verb} on this kernel.", *rest]), "good"


def missing(rest: Rest, planned: int) -> list[str]:
    """Sentences about what the claims of a run have besides the ``planned`` tests."""
    found = []
    if rest.not_chosen:
        number = planned + len(rest.not_chosen)
        were = "was" if planned == 1 else "were"
        found.append(
            f"{planned} of {_tests(number)} {were} chosen; only --claim and --suite choose claims."
        )
    if rest.not_found:
        has = "has" if len(rest.not_found) == 1 else "have"
        found.append(f"{_claims(len(rest.not_found))} {has} no test below suites/.")
    return found


def _by_known_issues(findings: Findings, issues: Mapping[str, KnownIssue]) -> str:
    """That every failure is one of a known bug, for the sentence; else nothing."""
    claims = findings.having(ClaimState.FAILED)
    bad = [
        each.id for claim in claims for each in claim.of(TestOutcome.FAILED, TestOutcome.CRASHED)
    ]
    if not all(name in issues for name in bad):
        return ""
    commits = ", ".join(dict.fromkeys(issues[name].commit for name in bad))
    return f", by a known bug of it ({commits})"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _claims(number: int) -> str:
    return _count(number, "claim")


def _tests(number: int) -> str:
    return _count(number, "test")
