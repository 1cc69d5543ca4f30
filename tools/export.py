# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance export``: results in the format of whoever takes them."""

from __future__ import annotations

from pathlib import Path

import click

from lab.launch.exit_codes import Exit
from lab.results.exports import hand_on
from lab.results.formats import FORMATS
from tools import results as given
from tools.options import Place
from tools.screen.terminal import TERMINAL

_LISTED = "\n\n".join(f"{name}: {each.taken_by}" for name, each in FORMATS.items())


@click.command(
    epilog=f"Formats and who takes them:\n\n{_LISTED}\n\n"
    "Exit codes: 0 written, 64 wrong usage, 70 no results there, 73 the file cannot be written."
)
@click.argument("results", type=Place(exists=True))
@click.option(
    "--format",
    "wanted",
    type=click.Choice(list(FORMATS)),
    required=True,
    metavar="FORMAT",
    help="One of those below.",
)
@click.option(
    "-o",
    "--output",
    type=Place(dir_okay=False),
    help="The file; without it, standard output.",
)
def export(results: Path, wanted: str, output: Path | None) -> int:
    """Render RESULTS, a folder of run, emulate, matrix, mutate or sweep, or a journal.

    Also those of a run that was cut: what was planned and has no result is told as such.
    """
    suites = given.read(results)
    if output is None:
        click.echo(FORMATS[wanted].render(suites), nl=False)
        return Exit.HELD
    return hand_on(((wanted, output),), suites, Exit.HELD, TERMINAL)
