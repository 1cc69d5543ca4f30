# SPDX-License-Identifier: GPL-2.0-only
"""The benchmark on the terminal: tables, then sentences."""

from __future__ import annotations

import shutil
import sys

from rich import box
from rich.console import Console
from rich.table import Table

from lab.benchmark.measurement import UNDISTURBED
from lab.benchmark.results import BenchResults, Comparison, mask_sentences
from lab.benchmark.statistics import Estimate

#: Columns, also where the terminal is wider or there is none.
WIDTH = 100
_EXPLANATION = (
    "KVM_SET_SIGNAL_MASK makes every KVM_RUN change the thread's signal mask and change it back, "
    "each time under the signal lock that all threads of a process share; immediate_exit needs no "
    "lock (kernel commit 460df4c1fc7c)."
)


def console(stderr: bool = False) -> Console:
    """rich as this command uses it: colours on a terminal only, at most WIDTH columns."""
    stream = sys.stderr if stderr else sys.stdout
    columns = shutil.get_terminal_size((WIDTH, 24)).columns if stream.isatty() else WIDTH
    return Console(
        file=stream, width=min(WIDTH, columns), highlight=False, markup=False, emoji=False
    )


def show(results: BenchResults, headline: str, out: Console) -> None:
    """Everything that a person reads."""
    settings = results.settings
    out.print(headline, style="bold")
    rounds = 1 + max((batch.round for batch in results.batches), default=-1)
    state = "" if results.complete else f" of {settings.rounds}, stopped early"
    out.print(
        f"{rounds} rounds{state}; every round runs each case once, {settings.batch_s * 1000:g} ms "
        "long, in changing order. Times are ns of wall time a call and thread."
    )
    out.print()
    for case in results.cases:
        out.print(f"  {case.name:<15} {case.meaning}")
    out.print()
    if any(batch.valid for batch in results.batches):
        out.print(_cases(results))
        out.print(_comparisons(results))
        for text in (_EXPLANATION, *mask_sentences(results)):
            out.print(text)
    for note in _notes(results):
        out.print(f"Note: {note}", style="yellow")


def _cases(results: BenchResults) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, title_justify="left")
    table.add_column("threads", justify="right")
    table.add_column("case", no_wrap=True)
    for name in ("median", "quartiles", "MAD", "min", "batches"):
        table.add_column(name, justify="right", no_wrap=True)
    for threads in results.settings.threads:
        for case in results.cases:
            of_case = results.summary(case.name, threads)
            if of_case is None:
                table.add_row(str(threads), case.name, "-", "-", "-", "-", "0")
                continue
            table.add_row(
                str(threads),
                case.name,
                _ns(of_case.median),
                f"{_ns(of_case.lower_quartile)}..{_ns(of_case.upper_quartile)}",
                _ns(of_case.mad),
                _ns(of_case.minimum),
                str(of_case.count),
            )
        table.add_section()
    return table


def _comparisons(results: BenchResults) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("threads", justify="right", no_wrap=True)
    table.add_column("compared, paired by round", no_wrap=True)
    table.add_column("ratio", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    table.add_column("difference", justify="right", no_wrap=True)
    table.add_column("95 % interval", justify="right", no_wrap=True)
    for group in (results.mask_comparisons(), results.other_comparisons()):
        for one in group:
            table.add_row(
                *_names(one),
                f"{one.ratio.median:{_ratio_form(one)}}",
                _interval(one.ratio, _ratio_form(one)),
                f"{one.difference.median:{_ns_form(one)}}",
                _interval(one.difference, _ns_form(one)),
            )
        table.add_section()
    return table


def _names(one: Comparison) -> tuple[str, str]:
    (above, many), (below, few) = one.above, one.below
    if many == few:
        return str(many), f"{above} / {below}"
    return f"{many} / {few}", above


def _ratio_form(one: Comparison) -> str:
    return ".3f" if one.ratio.median < 10 else ".1f"


def _ns_form(one: Comparison) -> str:
    return "+.1f" if abs(one.difference.median) < 1000 else "+.0f"


def _interval(found: Estimate, form: str) -> str:
    if found.low is None or found.high is None:
        return "too few rounds"
    return f"{found.low:{form}}..{found.high:{form}}"


def _ns(value: float) -> str:
    return f"{value:.1f}" if value < 1000 else f"{value:.0f}"


def _notes(results: BenchResults) -> list[str]:
    notes = []
    if results.disturbed:
        notes.append(
            f"in {results.disturbed} of {len(results.batches)} batches the threads had a processor "
            f"less than {UNDISTURBED * 100:g} % of the time: other work ran on this host, or there "
            "are more threads than processors."
        )
    if not results.pinned:
        notes.append("threads could not be kept on one processor each; that adds spread.")
    seen: dict[tuple[str, int], list[str]] = {}
    for batch in results.invalid:
        seen.setdefault((batch.case, batch.threads), []).append(batch.problem)
    for (case, threads), problems in seen.items():
        plural = "" if threads == 1 else "s"
        notes.append(
            f"{len(problems)} invalid batch{'es' if len(problems) > 1 else ''} of {case} with "
            f"{threads} thread{plural}, left out; the first: {problems[0]}."
        )
    if not any(case.needs_capability for case in results.cases):
        notes.append(
            "this KVM has no KVM_CAP_IMMEDIATE_EXIT: the cases with immediate_exit are left out."
        )
    return notes
