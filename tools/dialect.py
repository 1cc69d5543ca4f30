# SPDX-License-Identifier: GPL-2.0-only
"""``--dialect``: a command that speaks as its caller takes it, by code and standard output.

It stands around the whole command: wrong usage, a defect of ours and a full disk have codes that a
caller would misread as much as those of a verdict.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lab.launch.exit_codes import Exit, untold
from lab.results.dialects import DIALECTS, Dialect
from tools import ending

if TYPE_CHECKING:
    from lab.results.exports import Exports  # which loads the native extension

_OPTION = "--dialect"
#: What proves that a run came to its end, where the caller reads none of our formats.
_PROOF = "json"


@dataclass(frozen=True)
class Spoken:
    """What a command is told by click's context: its dialect's name, and a file it has to write."""

    name: str
    exports: Exports


def asked(arguments: Sequence[str]) -> str:
    """The name that stands behind --dialect, empty where there is none of DIALECTS.

    It must be known before click has parsed anything, for that may fail.
    """
    words = list(arguments)
    words = words[: words.index("--")] if "--" in words else words
    found = ""
    for place, word in enumerate(words):
        if word == _OPTION:
            found = "".join(words[place + 1 : place + 2])
        elif word.startswith(f"{_OPTION}="):
            found = word.partition("=")[2]
    return found if found in DIALECTS else ""


def spoken(name: str, command: Callable[[Spoken], int]) -> int:
    """Does it, and hands the results on as the dialect has it; the exit code, still one of ours."""
    dialect = DIALECTS[name]
    if message := ending.no_temporary_folder():
        click.echo(f"Error: {message}", err=True)
        return Exit.CANNOT_WRITE
    folder = os.environ.get(dialect.folder, "") if dialect.folder else ""
    if dialect.folder and not (folder and Path(folder).is_dir()):
        named = f"which is {folder!r}, no folder" if folder else "which is not set"
        text = f"{_OPTION} {name} writes {dialect.file} to ${dialect.folder}, {named}"
        click.echo(f"Error: {text}: {dialect.taken_by} sets it.", err=True)
        return Exit.USAGE
    with tempfile.TemporaryDirectory(prefix="kvm-conformance-dialect-") as kept:
        path = Path(folder or kept) / (dialect.file or "results")
        try:
            path.unlink(missing_ok=True)  # of an earlier run
        except OSError as error:
            click.echo(f"Error: {path} cannot be written: {error.strerror}.", err=True)
            return Exit.CANNOT_WRITE
        wanted = dialect.format or _PROOF
        with _owned(dialect) as standard_output:
            code = command(Spoken(name, ((wanted, path),)))
            if code == Exit.HELD and not path.exists():
                click.echo("Error: nothing was run, so nothing is held.", err=True)
                code = Exit.SUITE_ERROR
            if standard_output is not None:
                code = _written(standard_output, _text(path, wanted, code), code)
            return code


def _text(path: Path, wanted: str, code: int) -> str:
    """What the run has written, or in its place that there was no run."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        why = f"the run did not come to its end, code {code}; standard error says why"
        formats = importlib.import_module("lab.results.formats").FORMATS
        found = importlib.import_module("lab.results.found")
        text: str = formats[wanted].render([found.of_nothing(why)])
        return text


def _written(descriptor: int, text: str, code: int) -> int:
    """The exit code that is left when this was written there, or could not be."""
    try:
        with open(descriptor, "w", encoding="utf-8", closefd=False) as stream:
            stream.write(text)
    except OSError as error:
        click.echo(f"Error: standard output cannot be written: {error.strerror}.", err=True)
        return untold(code)
    return code


@contextlib.contextmanager
def _owned(dialect: Dialect) -> Iterator[int | None]:
    """Standard output as a descriptor, while all that is written there goes to standard error."""
    if not dialect.on_standard_output:
        yield None
        return
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        os.dup2(2, 1)
        try:
            yield kept
        finally:
            sys.stdout.flush()
            os.dup2(kept, 1)
    finally:
        os.close(kept)


def checked(ctx: click.Context, _param: click.Parameter, value: str | None) -> None:
    """Refuses a --dialect that `asked` has understood in another way than click."""
    told = ctx.obj.name if isinstance(ctx.obj, Spoken) else None
    if value != told:
        raise click.UsageError(f"write {_OPTION} once, and as {_OPTION} NAME")
