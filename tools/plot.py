# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance plot``: pictures of where kicks landed and how long they took."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

from harness.reporting import journal as run_journal
from lab.launch.exit_codes import Exit
from lab.soak import journal
from lab.soak import tally as race_tally
from lab.soak.tally import RaceResults, RaceResultsError
from tools import options
from tools.beforehand import missing_pictures
from tools.screen.terminal import TERMINAL

FORMATS = ("svg", "png")


def _formats(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(word.strip() for word in value.split(",")))
    for word in wanted:
        if word not in FORMATS:
            raise click.BadParameter(f"{word!r} is neither svg nor png; an example: svg,png")
    return wanted


@click.command(
    epilog="Exit codes: 0 drawn, 64 wrong usage or no results there, 70 the results are damaged or"
    " hold no kicks, 73 the pictures cannot be written."
)
@click.argument("results", type=options.Place(), metavar="RESULTS")
@click.option(
    "--output", type=options.Place(), metavar="DIR",
    help="Where the pictures go; default: beside the results.",
)  # fmt: skip
@click.option(
    "--format", "formats", default=",".join(FORMATS), show_default=True, metavar="LIST",
    callback=_formats, help="svg, png or both.",
)  # fmt: skip
def plot(results: Path, output: Path | None, formats: tuple[str, ...]) -> int:
    """Draw landings and latencies by protocol, from the journal of a soak or of a run.

    RESULTS is a folder of results or a journal in it.
    """
    try:
        path = journal_of(results)
        found = race_tally.read(path)
    except FileNotFoundError as error:
        raise click.BadParameter(str(error), param_hint="RESULTS") from None
    except RaceResultsError as error:
        return TERMINAL.refuse(f"{error}.", Exit.SUITE_ERROR)
    except OSError as error:
        return TERMINAL.refuse(f"{results} cannot be read: {error.strerror}.", Exit.SUITE_ERROR)
    tallies = {name: tally for name, tally in sorted(found.tallies.items()) if tally.kicks}
    if not tallies:
        return TERMINAL.refuse(
            f"{path} holds no kicks to draw. `kvm-conformance soak --for 60s` makes some.",
            Exit.SUITE_ERROR,
        )
    if message := missing_pictures():
        return TERMINAL.refuse(message, Exit.SUITE_ERROR)
    folder = output or path.parent
    pictures = importlib.import_module("lab.pictures.races")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        written = pictures.draw(tallies, headline(found), folder, formats)
    except OSError as error:
        return TERMINAL.refuse(
            f"the pictures cannot be written to {folder}: {error.strerror}. Choose another "
            "--output.",
            Exit.CANNOT_WRITE,
        )
    for each in written:
        click.echo(str(each))
    return Exit.HELD


def journal_of(results: Path) -> Path:
    """The journal that RESULTS means. Raises FileNotFoundError with a sentence."""
    if not results.is_dir():
        if not results.exists():
            raise FileNotFoundError(f"there is no {results}")
        return results
    for name in (journal.JOURNAL, run_journal.NAME):
        if (results / name).is_file():
            return results / name
    raise FileNotFoundError(
        f"{results} holds neither {journal.JOURNAL} nor {run_journal.NAME}: it is no folder "
        "of results"
    )


def headline(results: RaceResults) -> str:
    """The host in one line, as `harness.host.description.Host.headline` gives it."""
    known = results.environment
    if "kernel" not in known:
        return "host unknown: the journal has no description of it"
    under = known.get("virtualization", "none")
    nested = f", nested under {under}" if under != "none" else ""
    return (
        f"Linux {known['kernel']} {known.get('architecture', '')}, {known.get('backend', '?')}"
        f"{nested}, tier {known.get('tier', '?')}"
    )
