# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance claims``: the catalogue, for people and as JSON.

An entry is an id with its kind, then its sentence and source, wrapped: a table with columns of
sentences is unreadable at 80 columns.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import textwrap
from collections.abc import Iterable

import click

from harness.claims import KINDS, CatalogueError, Claim, catalogue, chapters
from harness.reporting.selection import SelectionError, select


@click.command()
@click.option("--chapter", metavar="NAME", help="Only this chapter.")
@click.option("--json", "as_json", is_flag=True, help="As JSON, one list of claims.")
def claims(chapter: str | None, as_json: bool) -> None:
    """Print the catalogue of claims."""
    try:
        known, titles = catalogue(), chapters()
        wanted = select(known, titles, wanted_suites=[] if chapter is None else [_folder(chapter)])
    except SelectionError as error:
        raise click.UsageError(str(error).replace("suite", "chapter", 1)) from None
    except CatalogueError as error:
        raise click.ClickException(str(error)) from None
    chosen = [claim for claim in known.values() if claim.id in wanted.claims]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(claim) for claim in chosen], indent=2))
        return
    width = min(max(shutil.get_terminal_size((80, 24)).columns, 20), 100)
    last = ""
    for claim in chosen:
        if claim.chapter != last:
            title = titles[claim.chapter].title
            click.secho(f"{title} (suites/{claim.chapter})", bold=True)
            last = claim.chapter
        _print(claim, width)
    click.echo(f"{len(chosen)} claims")


def _folder(name: str) -> str:
    """The chapter's folder, also for the prefix of its ids."""
    by_prefix = {chapter.prefix: chapter.name for chapter in chapters().values()}
    return name if name in chapters() else by_prefix.get(name, name)


def _print(claim: Claim, width: int) -> None:
    notes = [KINDS[claim.kind]] + (["no test yet"] if claim.planned else [])
    notes += [f"kvm-conformance {claim.command}"] if claim.command else []
    click.echo(f"  {click.style(claim.id, fg='cyan')}  [{', '.join(notes)}]")
    for text in (claim.sentence, f"Source: {claim.source}", *_limits(claim)):
        for line in textwrap.wrap(text, width - 4, break_long_words=False, break_on_hyphens=False):
            click.echo(f"    {line}")
    click.echo()


def _limits(claim: Claim) -> Iterable[str]:
    if claim.architectures:
        yield f"Only on: {', '.join(claim.architectures)}"
    if claim.gates:
        yield f"Skipped where: {', '.join(claim.gates)}"
