# SPDX-License-Identifier: GPL-2.0-only
"""A mutation as tables: outcomes on the terminal, and the kill matrix as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table
from rich.text import Text

from harness.claims import catalogue, chapters
from lab.launch.exit_codes import Exit
from lab.mutation.judge import LEGEND, Fate
from lab.mutation.result import Cell, KillColumn, KillMatrix
from tools.screen import bench

_ASKED = (Fate.KILLED, Fate.OTHERWISE, Fate.UNUSABLE, Fate.STAYS, Fate.SURVIVED)
_MOST = 4  # claims of a mutant that the terminal names


def show(found: KillMatrix) -> None:
    """Prints outcomes, what the words mean, what went wrong, and the sentence."""
    console = bench.console()
    console.print()
    console.print(_table(found))
    words = [each for each in LEGEND if each in _outcomes(found)]
    for word in words:
        console.print(f"{word.value}: {LEGEND[word]}", style="dim")
    for column in found.columns:
        for bug in column.bugs:
            console.print(Text(f"{column.source.version}: {bug.describe()}"))
    for head, text in (*_troubles(found), *_allowed(found)):
        console.print(Text(f"{head}: {text}"))
    good = found.code is Exit.HELD
    console.print(Text(found.sentence(), style="green" if good else "red"))


def _table(found: KillMatrix) -> Table:
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    made.add_column("mutant", no_wrap=True)
    for column in found.columns:
        made.add_column(column.source.version, no_wrap=True)
    made.add_column("s", justify="right", no_wrap=True)
    made.add_column("claims that failed, * foretold")
    for name, cells in _rows(found):
        words = [_word(cell) for cell in cells]
        there = [cell for cell in cells if cell]
        seconds = max(cell.seconds for cell in there)
        made.add_row(name, *words, f"{seconds:.0f}" if seconds else "", _failed(there))
    return made


def _rows(found: KillMatrix) -> Iterator[tuple[str, list[Cell | None]]]:
    """A cell a kernel; None where the stock kernel had no mutant beside it."""
    by_name = [{cell.name: cell for cell in column.cells} for column in found.columns]
    for name in dict.fromkeys(name for column in by_name for name in column):
        yield name, [column.get(name) for column in by_name]


def _word(cell: Cell | None) -> Text:
    if cell is None:
        return Text("")
    return Text(cell.judged.outcome.value, style=_style(cell.judged.outcome))


def _style(outcome: Fate) -> str:
    return "green" if outcome.code is Exit.HELD else "red"


def _failed(cells: list[Cell]) -> str:
    failed = list(dict.fromkeys(name for cell in cells for name in cell.judged.failed))
    mutant = cells[0].mutant
    foretold = mutant.claims if mutant else ()
    ordered = sorted(failed, key=lambda name: name not in foretold)
    named = [f"{name}*" if name in foretold else name for name in ordered]
    more = f" and {len(named) - _MOST} more" if len(named) > _MOST else ""
    return ", ".join(named[:_MOST]) + more


def _outcomes(found: KillMatrix) -> set[Fate]:
    return {cell.judged.outcome for column in found.columns for cell in column.cells}


def _troubles(found: KillMatrix) -> Iterator[tuple[str, str]]:
    """What is not as it should be, with the reason."""
    for column in found.columns:
        for cell in column.cells:
            if cell.judged.outcome.code is not Exit.HELD:
                head = f"{cell.name} {column.source.version}"
                yield head, f"{cell.judged.outcome.value}: {cell.judged.why}"


def _allowed(found: KillMatrix) -> Iterator[tuple[str, str]]:
    """What allows the sound variants to be as they are."""
    mutants = [cell.mutant for column in found.columns for cell in column.mutants if cell.mutant]
    for name, clause in {each.id: each.allowed_by for each in mutants if each.allowed_by}.items():
        yield name, f"allowed by {clause}"


def markdown(found: KillMatrix) -> str:
    """The kill matrix of each kernel: mutants by claims, these in the columns of their chapters."""
    lines = [f"{found.sentence()}.", ""]
    for column in found.columns:
        lines += [f"## {_escaped(column.source.name)}", "", *_matrix(column), ""]
        lines += [line for bug in column.bugs for line in (_escaped(bug.describe()), "")]
    lines += [
        "A claim in bold failed as it was foretold, one in plain letters failed beside it, and one",
        "that is ~~struck out~~ was foretold and did not fail.",
        "",
        *(f"- {each.value}: {text}" for each, text in LEGEND.items() if each in _outcomes(found)),
        "",
        *(
            f"- {_escaped(head)}: {_escaped(text)}"
            for head, text in (*_troubles(found), *_allowed(found))
        ),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _matrix(column: KillColumn) -> Iterator[str]:
    broken = {name for cell in column.cells for name in cell.judged.failed}
    broken |= {name for cell in column.mutants if cell.mutant for name in cell.mutant.claims}
    prefixes = [
        chapter.prefix
        for chapter in chapters().values()
        if any(name.startswith(f"{chapter.prefix}.") for name in broken)
    ]
    yield f"| mutant | class | outcome | s | {' | '.join(prefixes)} |"
    yield f"| --- | --- | --- | --: |{' --- |' * len(prefixes)}"
    for cell in column.cells:
        kind = cell.mutant.mutant_class if cell.mutant else "stock"
        cells = [_claims(cell, prefix) for prefix in prefixes]
        seconds = f"{cell.seconds:.0f}" if cell.seconds else ""
        outcome = cell.judged.outcome.value
        yield f"| `{cell.name}` | {kind} | {outcome} | {seconds} | {' | '.join(cells)} |"


def _claims(cell: Cell, prefix: str) -> str:
    """The claims of a chapter that failed, or should have."""
    foretold = cell.mutant.claims if cell.mutant and cell.judged.outcome in _ASKED else ()
    failed = cell.judged.failed
    told = []
    for name in catalogue():
        short = name.removeprefix(f"{prefix}.")
        if short == name or not (name in failed or name in foretold):
            continue
        if name not in failed:
            told.append(f"~~{short}~~")
        else:
            told.append(f"**{short}**" if name in foretold else short)
    return ", ".join(told)


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
