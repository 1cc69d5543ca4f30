# SPDX-License-Identifier: GPL-2.0-only
"""A folder of many runs' results: one command at a time writes there, and the same one goes on."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from lab.launch import folder_lock
from lab.launch.output_folder import nearest
from tools import options

_TYPED = "tools.resuming.typed"


class Remembering(click.Command):
    """A command that keeps its own words, to say how to resume."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep them."""
        ctx.meta[_TYPED] = list(args)
        return super().parse_args(ctx, args)


def resumable(output: Path) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options of a command that goes on where it was: --output, --fresh, --parallel."""
    described = (
        click.option(
            "--output",
            type=options.Place(),
            default=output,
            show_default=True,
            metavar="DIR",
            help="Where the results go; what is complete there is not run again.",
        ),
        click.option("--fresh", is_flag=True, help="Run everything again."),
        click.option(
            "--parallel",
            type=click.IntRange(1, options.MOST_AT_ONCE),
            metavar="N",
            help="Machines at once; default is what processors and memory carry.",
        ),
    )

    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(described):
            command = option(command)
        return command

    return add


def typed(command: str) -> str:
    """What was typed, but for --fresh, which would start over."""
    context = click.get_current_context()
    words = [word for word in context.meta.get(_TYPED, []) if word != "--fresh"]
    return shlex.join(["kvm-conformance", command, *words])


@contextlib.contextmanager
def held(output: Path, what: str) -> Iterator[Path]:
    """The folder, made and locked: two in one would spoil each other. Raises OSError.

    `what` names the command's runs for people.
    """
    output.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(folder_lock.held(output))
        except folder_lock.HeldError as error:
            raise click.UsageError(
                f"another {what} writes its results to {nearest(output)} ({error}): wait for it, "
                "or choose another --output."
            ) from None
        yield output.resolve()
