# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance-complete``: what shells ask when somebody presses the tabulator.

A program of its own: click would let an environment variable make ``kvm-conformance`` print
completions and end with 0, a run that tested nothing. ``kvm-conformance-complete bash`` prints the
script that a bash, zsh or fish reads; the script then calls this program with what is typed so far.
"""

from __future__ import annotations

import os
import re
import sys

import click
from click.shell_completion import get_completion_class

from lab.launch.exit_codes import Exit
from tools.cli import cli

PROGRAM = "kvm-conformance"
SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_KVM_CONFORMANCE_COMPLETE"


def script(shell: str) -> str:
    """What a shell reads once. Raises `ValueError` for a shell that is none of `SHELLS`."""
    made = get_completion_class(shell) if shell in SHELLS else None
    if made is None:
        raise ValueError(f"{shell!r} is none of {', '.join(SHELLS)}")
    completion = made(cli, {}, PROGRAM, _VARIABLE)
    text = completion.source_template % completion.source_vars()
    # click's own asks the command itself.
    asked, times = re.subn(rf" (\$1|{PROGRAM})\)", f" {PROGRAM}-complete)", text)
    if times != 1:
        raise RuntimeError(f"click's script for {shell} has another form than is known here")
    return asked


def answer(shell: str) -> str:
    """What can be typed now; the script has put what is typed into COMP_WORDS and COMP_CWORD."""
    made = get_completion_class(shell) if shell in SHELLS else None
    return made(cli, {}, PROGRAM, _VARIABLE).complete() if made else ""


def main() -> int:
    """The exit code."""
    asked = os.environ.get(_VARIABLE, "").removesuffix("_complete")
    try:
        if asked:
            click.echo(answer(asked))
        else:
            click.echo(script("".join(sys.argv[1:])))
    except (ValueError, KeyError) as error:
        click.echo(f"Usage: {PROGRAM}-complete SHELL\n\nError: {error}.", err=True)
        return Exit.USAGE
    return Exit.HELD


if __name__ == "__main__":
    sys.exit(main())
