# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance image``: a root file system that runs the suites on another architecture."""

from __future__ import annotations

from pathlib import Path

import click

from lab.emulation import arch, cache
from lab.emulation.errors import KernelError
from lab.launch.exit_codes import Exit
from lab.payload import payload
from lab.payload.formats import FORMATS
from lab.payload.received import received
from tools.screen.terminal import TERMINAL


@click.command(
    epilog="Exit codes: 0 made, 64 wrong usage, 70 cannot be made, 73 cannot be written; with"
    " --received those of `run`."
)
@click.option(
    "--arch",
    "architecture",
    metavar="ARCH",
    help=f"One of {', '.join(word for word in arch.choices(at_home=True) if '/' not in word)}.",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(list(FORMATS)),
    default="cpio",
    show_default=True,
    help="An initial file system, a disk to read or to write, or an archive.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="The file; with --received, the folder. Without it the file's place in the cache is told.",
)
@click.option(
    "--received",
    "received_from",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="CONSOLE",
    help="Read the results that a machine has written on its console.",
)
def image(
    architecture: str | None, format_name: str, output: Path | None, received_from: Path | None
) -> int:
    """Make a root file system with the suites, for a machine of another architecture.

    It boots under any kernel, runs the suites as the kernel's command line says, and powers off.
    """
    if received_from:
        return received(received_from, output, TERMINAL)
    if not architecture:
        raise click.UsageError("of which architecture? Say --arch ARCH.")
    try:
        foreign = arch.with_board(architecture)
        made = payload.provide(foreign, format_name, cache.root(), TERMINAL.say)
    except KernelError as error:
        return TERMINAL.refuse(f"{error}.", Exit.SUITE_ERROR)
    if output is None:
        TERMINAL.out(str(made))
        return Exit.HELD
    try:
        payload.copied(made, output)
    except OSError as error:
        return TERMINAL.refuse(f"{output} cannot be written: {error.strerror}.", Exit.CANNOT_WRITE)
    TERMINAL.out(f"{output}: {cache.megabytes(output.stat().st_size)}")
    return Exit.HELD
