# SPDX-License-Identifier: GPL-2.0-only
"""The man page, made from the options: ``python -m tools.manual >kvm-conformance.1``.

What it says of a command is what ``--help`` says, so neither can be behind the other.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import click

from tools.cli import cli, version

_NAME = "kvm-conformance"
_FILES = (
    ("results/latest", "the last run's journal.jsonl, junit.xml, environment.json and kernel.log"),
    ("~/.cache/kvm-immediate-exit-conformance", "kernels and what else emulated hosts keep"),
)
_VARIABLES = (
    ("KVM_CONFORMANCE_CACHE", "another folder for what emulated hosts keep"),
    ("TMPDIR", "where temporary files go"),
)


def page() -> str:
    """All of it, in the macros of man(7)."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    top = click.Context(cli, info_name=_NAME, **cli.context_settings)
    yield f'.TH KVM\\-CONFORMANCE 1 "" "{_NAME} {version()}" "User Commands"'
    yield from (".SH NAME", f"{_plain(_NAME)} \\- {_plain(cli.help or '')}")
    yield ".SH SYNOPSIS"
    for number, name in enumerate(cli.list_commands(top)):
        if number:
            yield ".br"
        yield rf"\fB{_plain(_NAME)} {name}\fR {_usage(_command(top, name))}"
    yield ".SH DESCRIPTION"
    yield _plain("Judges whether a KVM lets go of a vCPU when kvm_run->immediate_exit is set.")
    yield _plain("The claims are those of `kvm-conformance claims`; a run says which ones hold.")
    yield ".SH COMMANDS"
    for name in cli.list_commands(top):
        yield from _section(_command(top, name))
    yield from _table("ENVIRONMENT", _VARIABLES)
    yield from _table("FILES", _FILES)
    yield ".SH REPORTING BUGS"
    yield _plain("Of a kernel: kvm@vger.kernel.org, with the verdict and the folder of results.")


def _command(top: click.Context, name: str) -> click.Context:
    command = cli.get_command(top, name)
    assert command is not None
    return click.Context(command, info_name=name, parent=top)


def _usage(context: click.Context) -> str:
    return _plain(" ".join(context.command.collect_usage_pieces(context)))


def _section(context: click.Context) -> Iterator[str]:
    """A command: what it does, its options, its exit codes."""
    yield f".SS {context.info_name}"
    yield from _paragraphs(context.command.help or "")
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            yield from _tagged(*record)
    if context.command.epilog:
        yield ".PP"
        yield from _paragraphs(context.command.epilog)


def _table(title: str, rows: tuple[tuple[str, str], ...]) -> Iterator[str]:
    yield f".SH {title}"
    for name, text in rows:
        yield from _tagged(name, text)


def _tagged(tag: str, text: str) -> Iterator[str]:
    yield from (".TP", rf"\fB{_plain(tag)}\fR", _plain(text))


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs stand apart by an empty line; a form feed ends what --help shows."""
    for number, each in enumerate(re.split(r"\n\s*\n", text.partition("\f")[0].strip())):
        if number:
            yield ".PP"
        if each.strip():
            yield _plain(each)


def _plain(text: str) -> str:
    """Words that roff takes for nothing but words, on one line."""
    line = " ".join(text.replace("\b", "").split())
    line = line.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{line}" if line[:1] in (".", "'") else line


if __name__ == "__main__":
    sys.stdout.write(page())
