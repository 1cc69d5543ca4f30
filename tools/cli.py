# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance``: the console script. Each command stands in a module of its own.

Commands are imported when they are called, so that listing claims needs no compiler and no
extension, and a fault in one command does not break the others.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import sys
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import CompletionItem

from lab import set_up
from lab.launch.exit_codes import Exit
from lab.results.dialects import DIALECTS
from tools import dialect, ending

#: name -> (module, attribute, one line of help)
_COMMANDS = {
    "run": ("tools.run", "run", "Run the suites on this host."),
    "emulate": ("tools.emulate", "emulate", "Run the suites inside an emulated host."),
    "image": ("tools.image", "image", "Make a root that runs the suites on other architectures."),
    "matrix": ("tools.matrix", "matrix", "Run the suites on a list of kernels."),
    "sweep": ("tools.sweep", "sweep", "Kick at every instruction on the way into the guest."),
    "explore": ("tools.explore", "explore", "Play random sequences, judged by a model."),
    "reproduce": ("tools.reproduce", "reproduce", "Write a failed sequence as a C program."),
    "export": ("tools.export", "export", "Give results in the format of whoever takes them."),
    "report": ("tools.report", "report", "Write results as one page of HTML, for people."),
    "diff": ("tools.diff", "diff", "Tell what has changed since earlier results."),
    "baseline": ("tools.baseline", "baseline", "Declare what results have skipped and failed."),
    "mutate": ("tools.mutate", "mutate", "Judge broken KVMs: do the suites notice?"),
    "cache": ("tools.cache", "cache", "List what emulated hosts keep on disk, or remove it."),
    "claims": ("tools.list_claims", "claims", "Print the catalogue of claims."),
    "blobs": ("tools.blobs", "blobs", "Rebuild and compare the guest programs."),
    "bench": ("tools.bench", "bench", "Measure what a KVM_RUN costs."),
    "soak": ("tools.soak", "soak", "Race for hours: count the kicks that are lost."),
    "plot": ("tools.plot", "plot", "Draw landings and latencies of a soak or a run."),
}


class LazyGroup(click.Group):
    """A group that imports a command when it is asked for it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which people need them."""
        return list(_COMMANDS)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What a word can be, without importing the commands."""
        commands = [
            CompletionItem(name, help=text)
            for name, (_, _, text) in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported; None for a name that is not one."""
        if cmd_name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[cmd_name]
        try:
            command = getattr(importlib.import_module(module), attribute)
        except ImportError as error:
            raise click.ClickException(
                f"the command {cmd_name!r} cannot be loaded: {error}. {set_up.again()}"
            ) from error
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Call the command. A broken pipe is a defect here: of output it is never told.

        click would end with 1 and without a word.
        """
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise RuntimeError(f"a pipe to another process: {error.strerror}") from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in _COMMANDS.items()])


def version() -> str:
    """This version, as it is installed."""
    try:
        return importlib.metadata.version(set_up.DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "unknown (not installed)"


@click.group(
    cls=LazyGroup, no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(version(), prog_name="kvm-conformance")
def cli() -> None:
    """Does this host's KVM keep the contract of kvm_run->immediate_exit?"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; its exit code. Whatever happens gives a sentence, never a traceback."""
    words = sys.argv[1:] if arguments is None else arguments
    if name := dialect.asked(words):
        return ending.end_in_order(
            lambda: dialect.spoken(name, lambda told: command(words, told)),
            as_taken=DIALECTS[name].code,
        )
    return ending.end_in_order(lambda: command(words))


def command(arguments: Sequence[str], told: dialect.Spoken | None = None) -> int:
    """The same inside `ending.end_in_order`. Bad input gives a sentence."""
    try:
        _check_encoding([*arguments, _here()])
        code = cli.main(
            args=list(arguments),
            prog_name="kvm-conformance",
            standalone_mode=False,
            obj=told,
            # A variable would make click print a script for shells, and run nothing: a 0 of no
            # test. None has this name; tools/completion.py is what shells ask.
            complete_var="=",
        )
    except click.UsageError as error:
        error.show()
        return Exit.USAGE
    except click.ClickException as error:
        error.show()
        return Exit.SUITE_ERROR
    except click.Abort:
        return Exit.SIGINT
    return code if isinstance(code, int) else Exit.HELD


def _here() -> str:
    """The current folder, of which the results tell; empty where it is gone."""
    try:
        return os.getcwd()  # noqa: PTH109 - a text
    except OSError:
        return ""


def _check_encoding(words: Sequence[str]) -> None:
    """Refuse what is not UTF-8: it could stand in no journal, and in no sentence about it."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise click.UsageError(f"{word!a} is not UTF-8") from None


if __name__ == "__main__":
    sys.exit(main())
