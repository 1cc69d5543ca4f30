# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance diff``: what results have otherwise than earlier ones, or than a baseline."""

from __future__ import annotations

from pathlib import Path

import click

from harness.claims import CatalogueError
from lab.comparison import baseline as baselines
from lab.comparison import results, telling
from lab.comparison.baseline import Baseline, BaselineError
from lab.comparison.telling import TELLINGS, Side
from lab.launch.exit_codes import Exit
from lab.results.found import FoundSuite
from tools import results as given
from tools.options import Place


@click.command(
    epilog="Exit codes: 0 the same or better, 1 worse, 64 wrong usage, 70 no results there."
    " Worse is a claim that fails, came to no verdict, is not tested any more, or skips for a new"
    " reason; and a run that was cut."
)
@click.argument("before", type=Place(exists=True))
@click.argument("after", type=Place(exists=True))
@click.option(
    "--format",
    "wanted",
    type=click.Choice(list(TELLINGS)),
    default="text",
    show_default=True,
    help="For a terminal or a mail, for programs, for pages.",
)
def diff(before: Path, after: Path, wanted: str) -> int:
    """Tell what the results AFTER have otherwise than those BEFORE.

    Each is a folder of run, emulate, matrix or mutate, or a journal; one of the two may be a
    baseline (`kvm-conformance baseline`), whose name ends with .toml.
    """
    try:
        sides = [_read(before), _read(after)]
    except BaselineError as error:
        raise click.UsageError(f"{error}.") from None
    except CatalogueError as error:
        raise click.ClickException(str(error)) from None
    if isinstance(sides[1], Baseline):
        # The results are what is judged, on whichever side the file was named.
        sides.reverse()
        before, after = after, before
    first, second = sides
    if isinstance(second, Baseline):
        raise click.UsageError("both are baselines: give one folder of results at least")
    if isinstance(first, Baseline):
        found = baselines.hold(second, first)
        told = Side(str(before)), Side(str(after), second)
    else:
        found = results.compare(first, second)
        told = Side(str(before), first), Side(str(after), second)
    click.echo(TELLINGS[wanted](*told, found), nl=False)
    return Exit.FAILED if telling.worse(found) else Exit.HELD


def _read(place: Path) -> list[FoundSuite] | Baseline:
    if place.suffix == ".toml" and not place.is_dir():
        return baselines.read(place)
    return given.read(place)
