# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance reproduce``: what failed as a C program for a bug report."""

from __future__ import annotations

from pathlib import Path

import click

from harness.kvm import arch
from lab.launch.exit_codes import Exit
from lab.reproduction.arch import UntoldError
from lab.reproduction.assembler import AssemblerError
from lab.reproduction.results import NothingToTellError, failures
from tools import options
from tools.beforehand import missing_extension
from tools.screen.terminal import TERMINAL


@click.command(
    epilog="Exit codes: 0 written, 64 wrong usage or nothing to tell, 70 no program can be made of"
    " it, 73 it cannot be written."
)
@click.argument("results", type=options.Place(exists=True), metavar="RESULT")
@click.option(
    "--number", type=click.IntRange(1), metavar="N",
    help="Which of the failures; default: the first that can be told.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=options.Place(dir_okay=False), metavar="FILE",
    help="Where the program goes; default: standard output.",
)  # fmt: skip
def reproduce(results: Path, number: int | None, output: Path | None) -> int:
    """Write a C program of a failure, for people who have nothing of this project.

    RESULT is a folder of results or a file with a sequence. Of each claim the first test that
    failed is told, where it did nothing that a program cannot do. The program needs libc and the
    kernel's headers; it ends with 0 where KVM does what it must, with 1 and a sentence where it
    does not.
    """
    if message := missing_extension():
        return TERMINAL.refuse(message, Exit.SUITE_ERROR)
    try:
        found = failures(results)
    except NothingToTellError as error:
        raise click.BadParameter(f"{error}.", param_hint="RESULT") from None
    except OSError as error:
        return TERMINAL.refuse(f"{results} cannot be read: {error.strerror}.", Exit.SUITE_ERROR)
    if number is not None and number > len(found):
        raise click.BadParameter(f"{len(found)} failed there", param_hint="--number")
    untold = ""
    for told in found if number is None else [found[number - 1]]:
        try:
            return _written(told.program(), output)
        except UntoldError as error:
            untold = untold or f"no C program says this yet: {error}."
        except (AssemblerError, arch.UnsupportedArchitectureError) as error:
            return TERMINAL.refuse(f"{error}.", Exit.SUITE_ERROR)
    return TERMINAL.refuse(untold, Exit.SUITE_ERROR)


def _written(text: str, output: Path | None) -> int:
    """The exit code."""
    if output is None:
        click.echo(text, nl=False)
        return Exit.HELD
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        return TERMINAL.refuse(f"{output} cannot be written: {error.strerror}.", Exit.CANNOT_WRITE)
    TERMINAL.out(f"{output}: cc -O1 -Wall -Wextra -o reproducer {output} -lpthread")
    return Exit.HELD
