# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance cache``: what emulated hosts keep on this disk, and how to be rid of it."""

from __future__ import annotations

import time

import click

from lab.emulation import cache as caches
from lab.emulation import stored
from lab.emulation.errors import KernelError
from lab.launch.exit_codes import Exit
from tools.screen.terminal import TERMINAL

_UNUSED_DAYS = 30


@click.command()
@click.option("--clean", is_flag=True, help="Remove what was not used for so many days.")
@click.option(
    "--days",
    type=click.IntRange(0, 36_500),
    default=_UNUSED_DAYS,
    show_default=True,
    metavar="N",
    help="With --clean: 0 removes everything.",
)
def cache(clean: bool, days: int) -> int:
    """List the kernels, lists and images that emulated hosts keep, the largest first.

    All of it is fetched or made again when it is needed.
    """
    root = caches.root()
    try:
        found = stored.entries(root)
        if clean:
            found = [each for each in found if each.age_days() >= days]
            for each in found:
                stored.remove(each)
    except KernelError as error:
        return TERMINAL.refuse(f"{error}.", Exit.SUITE_ERROR)
    for each in sorted(found, key=lambda each: -each.size):
        day = time.strftime("%Y-%m-%d", time.localtime(each.used))
        size = caches.megabytes(each.size)
        click.echo(f"{size:>8}  {day}  {each.kind:<9}  {each.path.name}")
    total = caches.megabytes(sum(each.size for each in found))
    done = f"removed, unused for {days} days or more" if clean else "there, with the day of use"
    click.echo(f"{total} in {len(found)} entries {done}; {root}")
    return Exit.HELD
