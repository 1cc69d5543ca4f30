# SPDX-License-Identifier: GPL-2.0-only
"""What is left to do when pytest is gone: complete the results, choose the exit code."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import click

from harness.claims import catalogue, chapters
from harness.emulation.lost import LostVm
from harness.reporting import journal as journals
from harness.reporting import last_words, markers, verdict
from harness.reporting import output as outputs
from harness.reporting.results import Outcome, Result
from tools import render_junit
from tools.exit_codes import Exit, untold

JOURNAL = journals.NAME
JUNIT = "junit.xml"
LAST_WORDS = last_words.VARIABLE
LAST_WORDS_FILE = "last-words.txt"
FILES = (JOURNAL, JUNIT, "environment.json", "kernel.log", LAST_WORDS_FILE)

#: pytest's own exit codes that matter here.
PYTEST_INTERNAL = 3
PYTEST_USAGE = 4


def finish(
    output: Path,
    *,
    status: int,
    stopped_by: signal.Signals | None,
    require_kvm: bool,
    narrowed: bool,
    lost: LostVm | None = None,
) -> int:
    """Complete the folder, tell the verdict if pytest could not, and give the exit code.

    ``status`` is pytest's, negative for a signal; ``stopped_by`` is the signal that the launcher
    itself got; ``lost`` says how the emulated host was lost in which pytest ran.
    """
    path = output / JOURNAL
    try:
        journal = journals.read(path)
        if journal.exit_status is None and journal.has_session:
            _complete(path, journal, output, lost or _how(status), stopped_by)
            journal = journals.read(path)
            _tell(journal, narrowed)
        if journal.has_session and not render_junit.well_formed(output / JUNIT):
            render_junit.write(journal, output / JUNIT)
    except FileNotFoundError:
        journal = journals.Journal()
    except (OSError, journals.JournalError) as error:
        click.echo(f"Error: the results are incomplete: {error}", err=True)
        return Exit.CANNOT_WRITE if isinstance(error, OSError) else Exit.SUITE_ERROR
    code, why = exit_code(journal, status=status, stopped_by=stopped_by, require_kvm=require_kvm)
    if lost is not None:
        why = f"{lost.describe()}; {_progress(journal)}"
        code = Exit.FAILED if lost.against_kernel or code is Exit.FAILED else Exit.LOST_VM
    if why:
        click.echo(why, err=True)
    if status == outputs.UNTOLD:
        click.echo(
            "Error: pytest could not write all of its words, which may be the verdict; the results "
            f"in {output} are complete.",
            err=True,
        )
        return untold(code)
    return code


def exit_code(
    journal: journals.Journal,
    *,
    status: int,
    stopped_by: signal.Signals | None,
    require_kvm: bool,
) -> tuple[Exit, str]:
    """The launcher's exit code, and a sentence where the verdict does not say it all."""
    if stopped_by is not None:
        code = Exit.SIGINT if stopped_by is signal.SIGINT else Exit.SIGTERM
        return code, f"Stopped by {stopped_by.name}: {_progress(journal)}"
    outcomes = {result.outcome for result in journal.results}
    if any(outcome.against_kernel for outcome in outcomes):
        return Exit.FAILED, ""
    if status == PYTEST_USAGE and not journal.results:
        return Exit.USAGE, ""
    if Outcome.ERROR in outcomes or journal.collection_errors:
        return Exit.SUITE_ERROR, ""
    if not journal.has_session or journal.exit_status in (None, PYTEST_INTERNAL):
        return Exit.SUITE_ERROR, f"Error: pytest broke off ({_how(status)}); see its output above."
    if journal.not_run and not journal.left_out:
        return Exit.SUITE_ERROR, f"Error: {len(journal.not_run)} planned tests did not run."
    if Outcome.PASSED in outcomes:
        if journal.left_out:
            return Exit.HELD, f"{journal.left_out} tests had no turn in the time that was given."
        if journal.rest:
            why = " ".join(verdict.missing(journal.rest, len(journal.planned)))
            return Exit.SUITE_ERROR, f"No verdict on all that was asked for: {why}"
        return Exit.HELD, ""
    if journal.rest.not_found and not journal.results:
        return Exit.SUITE_ERROR, f"Error: {verdict.missing(journal.rest, 0)[-1]}"
    why = "" if journal.results else "No test belongs to this choice yet; nothing was tested."
    return (Exit.FAILED if require_kvm else Exit.NOTHING_TESTED), why


def _progress(journal: journals.Journal) -> str:
    done = f"{len(journal.results)} of {len(journal.planned)} tests had run"
    return f"{done}; their results are kept."


def _how(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def _complete(
    path: Path,
    journal: journals.Journal,
    output: Path,
    how: LostVm | str,
    stopped_by: signal.Signals | None,
) -> None:
    """Account for tests that ran when pytest ended.

    They crashed, unless it was the launcher that ended them. Of a machine that was lost without a
    word of its kernel nobody knows whether the kernel or the emulation is to blame: an error.
    """
    with journals.Writer(path, fresh=False) as writer:
        if stopped_by is not None:
            return
        known = last_words.read(output / LAST_WORDS_FILE)
        outcome, how_text = Outcome.CRASHED, f"pytest ended by {how} while this test ran"
        if isinstance(how, LostVm):
            outcome = Outcome.CRASHED if how.against_kernel else Outcome.ERROR
            how_text = f"{how.describe()}, while this test ran"
        for name in journal.unfinished:
            told = known.get(name, "")
            writer.result(
                Result(
                    id=name,
                    claim=journal.planned.get(name, ""),
                    outcome=outcome,
                    phase="call",
                    reason="",
                    message=told or how_text,
                    detail=told,
                    duration_s=0.0,
                    worker="",
                    time=journals.now(),
                )
            )


def _tell(journal: journals.Journal, narrowed: bool) -> None:
    findings = verdict.judge(
        journal.results,
        planned=journal.planned,
        claims=catalogue(),
        collection_errors=len(journal.collection_errors),
        rest=journal.rest,
    )
    lines = verdict.render(
        findings,
        environment=journal.environment,
        claims=catalogue(),
        chapters=chapters(),
        width=shutil.get_terminal_size((80, 24)).columns,
        absent=not narrowed,
        architecture=markers.host_architecture(),
    )
    click.echo()
    for line in lines:
        colour = next((c for c in ("green", "red", "yellow") if line.markup.get(c)), None)
        click.secho(line.text, fg=colour)
