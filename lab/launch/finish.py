# SPDX-License-Identifier: GPL-2.0-only
"""What is left to do when pytest is gone: complete the results, choose the exit code."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

from harness.claims import MACHINES, catalogue, chapters
from harness.reporting import journal as journals
from harness.reporting import last_words, markers, proof, verdict, verdict_text
from harness.reporting import output as outputs
from harness.reporting.results import Result, TestOutcome, died
from lab.comparison import expected as expectations
from lab.comparison.expected import Expectation
from lab.launch.exit_codes import Exit, untold
from lab.launch.lost import LostVm
from lab.launch.speaker import Speaker
from lab.results.exports import Exports, hand_on
from lab.results.found import of_journal

JOURNAL = journals.NAME
JUNIT = "junit.xml"
LAST_WORDS = last_words.VARIABLE
LAST_WORDS_FILE = "last-words.txt"
FILES = (JOURNAL, JUNIT, "environment.json", "kernel.log", LAST_WORDS_FILE)

#: pytest's own exit codes that matter here.
PYTEST_INTERNAL = 3
PYTEST_USAGE = 4
PYTEST_NOTHING = 5


def finish(
    output: Path,
    to: Speaker,
    *,
    status: int,
    stopped_by: signal.Signals | None,
    require_kvm: bool,
    narrowed: bool,
    lost: LostVm | None = None,
    elsewhere: bool = False,
    run: str = "",
    alarms: Sequence[tuple[str, str]] = (),
    exports: Exports = (),
    expected: Expectation | None = None,
) -> int:
    """Complete the folder, tell the verdict if pytest could not, and give the exit code.

    ``status`` is pytest's, negative for a signal; ``stopped_by`` is the signal that the launcher
    itself got; ``lost`` says how the emulated host was lost in which pytest ran; ``elsewhere``:
    pytest told its verdict somewhere else, if it did. ``run`` is the id
    that pytest was given, ``alarms`` the times and lines of alarms in the kernel's log. junit.xml
    and ``exports`` are written whatever came of the run; ``expected`` is what it is held against.
    """
    path = output / JOURNAL
    try:
        journal = journals.read(path)
        if journal.exit_status is None and journal.has_session:
            _complete(path, journal, output, lost or _how(status), stopped_by, alarms)
            journal = journals.read(path)
            _tell(journal, narrowed, to, in_order=False)  # pytest would have told it by itself
        elif elsewhere and journal.has_session:
            _tell(journal, narrowed, to, in_order=True)
    except FileNotFoundError:
        journal = journals.Journal()
    except (OSError, journals.JournalError) as error:
        to.err(f"Error: the results cannot be completed: {error}")
        return Exit.CANNOT_WRITE if isinstance(error, OSError) else Exit.SUITE_ERROR
    code, why = exit_code(
        journal, status=status, stopped_by=stopped_by, require_kvm=require_kvm, run=run
    )
    if lost is not None:
        why = f"{lost.describe()}; {_progress(journal)}"
        code = Exit.FAILED if lost.against_kernel or code is Exit.FAILED else Exit.LOST_VM
    if why:
        to.err(why)
    changes = expectations.held(expected, [of_journal(journal, catalogue())] if expected else [])
    if expected is not None and journal.has_session:
        expectations.tell(expected, changes, to)
        code, less = expectations.left(expected, changes, code)
        if less:
            to.err(less)
            why = less
    troubles = [why] if why and _is_unsaid(code, journal) else []
    suite = of_journal(journal, catalogue(), troubles=troubles, place=output)
    suites = expectations.noted(expected, [suite], changes)
    own = (("junit", output / JUNIT),) if journal.has_session else ()
    handed = hand_on((*own, *exports), suites, code, to)
    if handed != code:
        return handed
    if status == outputs.UNTOLD:
        to.err(
            "Error: pytest could not write all of its words, which may be the verdict; the results "
            f"in {output} are complete."
        )
        return untold(code)
    return code


def exit_code(
    journal: journals.Journal,
    *,
    status: int,
    stopped_by: signal.Signals | None,
    require_kvm: bool,
    run: str = "",
) -> tuple[Exit, str]:
    """The launcher's exit code, and a sentence where the verdict does not say it all.

    A verdict needs pytest's status, the journal's end and the plan to agree.
    """
    if stopped_by is not None:
        return Exit.of_signal(stopped_by), f"Stopped by {stopped_by.name}: {_progress(journal)}"
    if why := _contradiction(journal, status, run):
        return Exit.SUITE_ERROR, f"Error: no verdict: {why}."
    if journal.accuses:
        return Exit.FAILED, ""
    outcomes = {result.outcome for result in journal.results}
    if status == PYTEST_USAGE and not journal.results:
        return Exit.USAGE, "Error: pytest refuses what it was given; see its words above."
    if TestOutcome.ERROR in outcomes or journal.collection_errors:
        return Exit.SUITE_ERROR, ""
    if status == outputs.UNTOLD and journal.exit_status is None:
        return Exit.CANNOT_WRITE, "Error: the results cannot be written; see pytest's words above."
    if not journal.has_session or journal.exit_status in (None, PYTEST_INTERNAL):
        return Exit.SUITE_ERROR, f"Error: pytest broke off ({_how(status)}); see its output above."
    if journal.left_out:
        why = f"{journal.left_out} tests had no turn in the time that was given."
        return Exit.SUITE_ERROR, f"No verdict on all that was asked for: {why}"
    if journal.not_run:
        return Exit.SUITE_ERROR, f"Error: {len(journal.not_run)} planned tests did not run."
    if journal.rest:
        why = " ".join(verdict_text.missing(journal.rest, len(journal.planned)))
        return Exit.SUITE_ERROR, f"No verdict on all that was asked for: {why}"
    if TestOutcome.PASSED not in outcomes:
        why = "" if journal.results else "No test belongs to this choice yet; nothing was tested."
        return (Exit.FAILED if require_kvm else Exit.NOTHING_TESTED), why
    if journal.exit_status != 0:
        why = f"no test failed, but pytest's exit status is {journal.exit_status}"
        return Exit.SUITE_ERROR, f"Error: no verdict: {why}; see its output above."
    return Exit.HELD, ""


def _is_unsaid(code: Exit, journal: journals.Journal) -> bool:
    """Whether the results alone do not say why this is the exit code."""
    if code is Exit.FAILED:  # a machine may be lost by a panic when all tests are through
        return not journal.accuses
    return code in (Exit.SUITE_ERROR, Exit.LOST_VM, Exit.CANNOT_WRITE)


def _contradiction(journal: journals.Journal, status: int, run: str) -> str:
    """Where the journal is not that of this run as pytest ended it; an empty text if it is."""
    if not journal.has_session:
        return "the journal has results, but no session" if journal.results else ""
    if run and journal.run != run:
        return "another run has written the journal meanwhile"
    if journal.results and not journal.planned:
        return "the journal has results, but no plan"
    if journal.left_out and journal.left_out != len(journal.not_run):
        left = f"{len(journal.not_run)} tests have no result, but {journal.left_out} were left out"
        return f"{left}, as the journal says"
    ended = journal.exit_status
    if ended is None:
        return ""
    untold = status == outputs.UNTOLD and ended in (0, PYTEST_NOTHING)
    if status != ended and not untold:
        return f"pytest ended by {_how(status)}, but the journal says exit status {ended}"
    bad = [r for r in journal.results if r.outcome not in (TestOutcome.PASSED, TestOutcome.SKIPPED)]
    if bad and ended in (0, PYTEST_NOTHING):
        return f"pytest's exit status is {ended}, but {bad[0].id} is {bad[0].outcome.value}"
    return ""


def _progress(journal: journals.Journal) -> str:
    if not journal.planned:
        return "no test had begun."
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
    alarms: Sequence[tuple[str, str]],
) -> None:
    """Account for tests that ran when pytest ended, unless it was the launcher that ended them.

    That they speak against the kernel takes a proof: last words, an alarm in its log, or the panic
    of an emulated host. Otherwise nobody knows what is to blame: an error.
    """
    with journals.Writer(path, fresh=False) as writer:
        if stopped_by is not None:
            return
        known = last_words.read(output / LAST_WORDS_FILE)
        for name in journal.unfinished:
            told = known.get(name, "")
            if isinstance(how, LostVm):
                accused = how.against_kernel or last_words.accuse(told)
                outcome = TestOutcome.CRASHED if accused else TestOutcome.ERROR
                said = told if last_words.accuse(told) or not accused else ""
                message = said or f"{how.describe()}, while this test ran"
            else:
                began = journal.started[name]
                alarm = next((line for time, line in alarms if began and time >= began), "")
                outcome, message = died(
                    f"pytest ended by {how} while this test ran", proof.best(told, alarm)
                )
            writer.result(
                Result(
                    id=name,
                    claim=journal.planned.get(name, ""),
                    outcome=outcome,
                    phase="call",
                    reason="",
                    message=message,
                    detail=told,
                    duration_s=0.0,
                    worker="",
                    time=journals.now(),
                )
            )


def _tell(journal: journals.Journal, narrowed: bool, to: Speaker, *, in_order: bool) -> None:
    machine = journal.environment.get("architecture", "")
    findings = verdict.judge(
        journal.results,
        planned=journal.planned,
        claims=catalogue(),
        collection_errors=len(journal.collection_errors),
        rest=journal.rest,
    )
    lines = verdict_text.render(
        findings,
        environment=journal.environment,
        claims=catalogue(),
        chapters=chapters(),
        width=to.width,
        absent=not narrowed,
        architecture=MACHINES.get(machine, machine) or markers.host_architecture(),
        in_order=in_order,
    )
    to.out()
    for line in lines:
        colour = next((c for c in ("green", "red", "yellow") if line.markup.get(c)), None)
        to.out(line.text, colour)
