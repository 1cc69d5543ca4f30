# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance baseline``: a file that declares what results have skipped and failed."""

from __future__ import annotations

from pathlib import Path

import click

from harness import files
from lab.comparison import baseline as baselines
from lab.comparison.baseline import BaselineError
from lab.launch.exit_codes import Exit
from lab.mutation.found import MUTATION
from tools import results as given
from tools.options import Place
from tools.screen.terminal import TERMINAL


@click.command(
    epilog="Exit codes: 0 written, 64 wrong usage, 70 no results of which a baseline can be made,"
    " 73 the file cannot be written."
)
@click.argument("results", type=Place(exists=True))
@click.option(
    "-o",
    "--output",
    type=Place(dir_okay=False),
    help="The file, whose name ends with .toml; without it, standard output.",
)
def baseline(results: Path, output: Path | None) -> int:
    """Declare what RESULTS have skipped and failed, for --expect and `diff`.

    RESULTS is a folder of run, emulate or matrix, or a journal.
    """
    if (results / MUTATION).is_file():
        raise click.UsageError(f"{results} has mutants, of which nothing is declared")
    if output is not None and output.suffix != ".toml":
        raise click.UsageError(f"{output}: the name of a baseline ends with .toml")
    try:
        text = baselines.written(given.read(results))
    except BaselineError as error:
        return TERMINAL.refuse(f"{error}.", Exit.SUITE_ERROR)
    if output is None:
        click.echo(text, nl=False)
        return Exit.HELD
    try:
        files.replace(output, text)
    except OSError as error:
        why = f"{output} cannot be written: {error.strerror}."
        return TERMINAL.refuse(why, Exit.CANNOT_WRITE)
    return Exit.HELD
