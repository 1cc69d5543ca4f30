# SPDX-License-Identifier: GPL-2.0-only
"""What the folder of a run has beside its results: races, the kernel's log, programs, records.

What cannot be read is told as such on the page: results do not fail for want of a picture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from harness import files
from harness.kvm.arch import UnsupportedArchitectureError
from harness.reporting import journal as journals
from harness.reporting.results import CALLS, Result, TestOutcome, shorten
from harness.reporting.verdict_text import SEQUENCE
from harness.shapes import ShapeError
from lab.pictures.race_tests import RaceTest
from lab.report import races
from lab.reproduction.arch import UntoldError
from lab.reproduction.assembler import AssemblerError
from lab.reproduction.results import NothingToTellError, ToldFailure, of_run
from lab.sweep import report as sweeps
from lab.sweep.report import Report

#: The kernel's words, of a run on a host and of one in a machine.
_LOGS = ("kernel.log", "console.log")
LOG_LIMIT = 32_000  # characters
_RECORDED = 24  # values of one test
_VALUE_LIMIT = 200  # characters
#: What is read by programs, and long.
_NOT_FOR_PEOPLE = (CALLS, SEQUENCE)

_T = TypeVar("_T")


@dataclass(frozen=True)
class Reproducer:
    """A failure as C, or the sentence why there is none. `number` is what `reproduce` calls it."""

    number: int
    text: str = ""
    why_not: str = ""


@dataclass(frozen=True)
class Evidence:
    """Of one run; `why_not` are sentences about what could not be read.

    `races` are what tests recorded of their kicks, `log` the kernel's words, of the file
    `log_name`. By result id, `recorded` is what tests that did not pass recorded, and `failures`
    what failed and can be told as a program. `sweep` is there where the folder is a sweep's.
    """

    races: Sequence[RaceTest] = ()
    log_name: str = ""
    log: str = ""
    recorded: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    failures: Mapping[str, tuple[int, ToldFailure]] = field(default_factory=dict)
    why_not: tuple[str, ...] = ()
    sweep: Report | None = None

    def program(self, test: str) -> Reproducer | None:
        """Of a test that failed; None where nothing that could be told is known of it."""
        if test not in self.failures:
            return None
        number, told = self.failures[test]
        try:
            return Reproducer(number, told.program())
        except UntoldError as error:
            return Reproducer(number, why_not=f"no C program says this yet: {error}.")
        except (AssemblerError, UnsupportedArchitectureError) as error:
            return Reproducer(number, why_not=f"{error}.")


def of(folder: Path | None) -> Evidence:
    """All that is there; of no folder nothing."""
    if folder is None:
        return Evidence()
    why_not: list[str] = []
    path = folder / journals.NAME
    sweep = _or_else(why_not, "the sweep", lambda: _sweep(folder), None)
    if sweep is not None:
        return Evidence(why_not=tuple(why_not), sweep=sweep)
    run = _or_else(why_not, "the journal", lambda: journals.read(path), journals.Journal())
    log_name, log = _log(folder, why_not)
    return Evidence(
        races.of_results(run.results),
        log_name,
        log,
        _recorded(run.results),
        _or_else(why_not, "what could be reproduced", lambda: _failures(run, path), {}),
        tuple(why_not),
    )


def _or_else(why_not: list[str], what: str, read: Callable[[], _T], nothing: _T) -> _T:
    try:
        return read()
    except (journals.JournalError, NothingToTellError, ShapeError) as error:
        why_not.append(f"{what} cannot be read: {error}.")
    except OSError as error:
        why_not.append(f"{what} cannot be read: {error.strerror}.")
    return nothing


def _sweep(folder: Path) -> Report | None:
    known = (folder / journals.NAME).is_file() or not (folder / sweeps.NAME).is_file()
    return None if known else sweeps.read(folder / sweeps.NAME)


def _log(folder: Path, why_not: list[str]) -> tuple[str, str]:
    for name in _LOGS:
        try:
            text = files.read_regular(folder / name, follow=False).decode(errors="replace")
        except FileNotFoundError:
            continue
        except OSError as error:
            why_not.append(f"{name} cannot be read: {error.strerror}.")
            continue
        return name, shorten(text.strip(), LOG_LIMIT)
    return "", ""


def _recorded(results: Sequence[Result]) -> dict[str, dict[str, str]]:
    return {
        result.id: {
            str(name)[:_VALUE_LIMIT]: str(value)[:_VALUE_LIMIT]
            for name, value in list(result.properties.items())[:_RECORDED]
            if name not in _NOT_FOR_PEOPLE and isinstance(value, (str, int, float))
        }
        for result in results
        if result.outcome not in (TestOutcome.PASSED, TestOutcome.SKIPPED)
    }


def _failures(run: journals.Journal, path: Path) -> dict[str, tuple[int, ToldFailure]]:
    """By result id, with the numbers that `reproduce` has for them."""
    return {each.test: (number, each) for number, each in enumerate(of_run(run, path), start=1)}
