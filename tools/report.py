# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance report``: results as one page for people."""

from __future__ import annotations

from pathlib import Path

import click

from lab.launch.exit_codes import Exit
from lab.results.exports import hand_on
from tools import results as given
from tools.options import Place
from tools.screen.terminal import TERMINAL


@click.command(
    epilog="Exit codes: 0 written, 64 wrong usage, 70 no results there, 73 the file cannot be"
    " written."
)
@click.argument("results", type=Place(exists=True), nargs=-1, required=True, metavar="RESULTS...")
@click.option(
    "-o",
    "--output",
    type=Place(dir_okay=False),
    default="report.html",
    show_default=True,
    help="The page.",
)
def report(results: tuple[Path, ...], output: Path) -> int:
    """Write a page of RESULTS, folders of run, emulate, matrix, mutate or sweep, or journals.

    One file of HTML, which fetches nothing: the verdict, each failure with its evidence, the claims
    by kernels. Of several runs on one kernel it says what changed from one to the next.
    """
    suites = given.read(*results)
    code = hand_on((("html", output),), suites, Exit.HELD, TERMINAL)
    if code == Exit.HELD:
        TERMINAL.out(str(output))
    return code
