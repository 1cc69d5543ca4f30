# SPDX-License-Identifier: GPL-2.0-only
"""``.venv/bin/pytest``: plain pytest, whose 0 and 1 are about tests, and about nothing else.

Python ends with 1 for each exception, and pytest for whatever it calls a failure; and it may be
told to leave out conftest.py. Here 0 and 1 stand where this project's recorder concluded them: for
claims, or for tests of the project's own.
"""

from __future__ import annotations

import os
import sys

import click
import pytest

from lab.launch.exit_codes import Exit
from tools import ending


class _Sessions:
    """A plugin that knows whether there was one: to tell a version takes none."""

    were = False

    def pytest_sessionstart(self) -> None:
        """One begins."""
        self.were = True


def main() -> int:
    """Run pytest with this process's arguments; the exit code."""
    return ending.end_in_order(_run, _untold)


def _run() -> int:
    if message := ending.no_temporary_folder():
        click.echo(f"Error: {message}", err=True)
        return Exit.CANNOT_WRITE
    sessions = _Sessions()
    try:
        code = int(pytest.main(plugins=[sessions]))
    except SystemExit as error:
        raise RuntimeError(f"something ended pytest by SystemExit({error.code!r})") from error
    is_word = code == Exit.FAILED or (code == Exit.HELD and sessions.were)
    if is_word and not _concluded(code):
        text = f"pytest ends with {code}, but no verdict of this project does: the code is 70."
        click.echo(f"Error: {text}", err=True)
        return Exit.SUITE_ERROR
    return code


def _concluded(code: int) -> bool:
    """Whether a session with the project's recorder ended so."""
    # Not at the top: pytest loads it, should it be part of the run.
    module = sys.modules.get("harness.reporting.recorder")
    return module is not None and code in module.concluded


def _untold(code: int) -> int:
    """The code where the output is lost. These are pytest's own: its 4 is no success."""
    told_nothing = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)
    return os.EX_CANTCREAT if code in told_nothing else code


if __name__ == "__main__":
    sys.exit(main())
