# SPDX-License-Identifier: GPL-2.0-only
"""How the process of a command ends, whatever happens in it: with a code and a sentence.

Never with Python's own codes: 1, for an exception, would speak against the kernel, and 120 says
that a stream could not be flushed.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import click

from harness import inherited
from harness.reporting import output
from lab.launch.exit_codes import Exit, untold

#: Made beforehand: where nothing else can be had, this needs no memory, no file and no stream.
_BROKE_OFF = b"Error: kvm-conformance broke off: it could not even tell why (out of memory?).\n"


def end_in_order(
    command: Callable[[], int],
    untold: Callable[[int], int] = untold,
    as_taken: Callable[[int], int] = int,
) -> int:
    """Calls it; the exit code.

    Output that is full, closed or without a reader does not disturb it, and decides about the code
    afterwards, by `untold`. `as_taken` is what the caller of this process takes for a code.
    """
    try:
        return as_taken(_ended(command, untold))
    except KeyboardInterrupt:
        return as_taken(Exit.SIGINT)
    except Exception:
        _break_off(as_taken(Exit.SUITE_ERROR))


def _ended(command: Callable[[], int], untold: Callable[[int], int]) -> int:
    output.open_missing()
    with output.kept() as streams:
        try:
            inherited.undo()
            code = command()
        except KeyboardInterrupt:
            code = Exit.SIGINT
        except Exception as error:
            code = _defect(error)
        lost = [(stream.name_for_people, stream.lost()) for stream in streams if stream.lost()]
        for name, why in lost:
            click.echo(f"Error: {name} cannot be written: {why}.", err=True)
        return untold(code) if lost else code


def no_temporary_folder() -> str:
    """Why no temporary file can be made, or an empty text."""
    try:
        tempfile.gettempdir()
    except OSError as error:
        return f"no temporary file can be made: {error.strerror}. Name a folder by TMPDIR."
    return ""


def _break_off(code: int) -> NoReturn:
    """The end where even the sentence about an exception raised one."""
    with contextlib.suppress(OSError):
        os.write(2, _BROKE_OFF)
    os._exit(code)


def _defect(error: Exception) -> Exit:
    """A sentence about an exception that nobody expected, and its traceback in a file."""
    what = " ".join("".join(traceback.format_exception_only(error)).split())
    file = _written("".join(traceback.format_exception(error)))
    if file is None:
        traceback.print_exception(error)
    where = f"the traceback is in {file}" if file else "see the traceback above"
    click.echo(f"Error: this is a defect of kvm-conformance: {what}; {where}.", err=True)
    return Exit.SUITE_ERROR


def _written(text: str) -> Path | None:
    """A new file, readable by this user only; None where it cannot be written."""
    path = None
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            encoding="utf-8",
            errors="backslashreplace",
            prefix="kvm-conformance-traceback-",
            suffix=".txt",
            delete=False,
        ) as file:
            path = Path(file.name)
            file.write(text)
    except Exception:  # memory may be what is lacking, too
        if path is not None:
            with contextlib.suppress(OSError):
                path.unlink()
        return None
    return path
