# SPDX-License-Identifier: GPL-2.0-only
"""A matrix as one table, claims by kernels: for the terminal and as Markdown.

Both show the same rows. On the terminal kernels that find no room stand in a further table below.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from lab.campaign.state import OUTPUT
from lab.matrix.result import LEGEND, Column, Matrix

WIDEST = 100
_INDENT = "  "
_GAP = 2
_SHOWN = 5  # failures of a kernel
_COLOURS = {"held": "green", "part": "green", "FAIL": "red", "lost": "red", "error": "red"}


@dataclass(frozen=True)
class _Row:
    """A line of the table; a title of a chapter has no cells."""

    text: str
    cells: tuple[str, ...] = ()


def terminal(matrix: Matrix, width: int) -> str:
    """The table, what its words and heads mean, and the verdict; no line is wider than `width`."""
    width = min(width, WIDEST)
    parts = ["\n".join(each) for each in _tables(matrix, width)]
    words = [(word, LEGEND[word]) for word in _used(matrix)]
    parts.append("\n".join(_entries(words, width)))
    parts.append(
        "\n".join(_entries([(each.head, each.describe()) for each in matrix.columns], width))
    )
    parts += ["\n".join(_entries(pairs, width)) for pairs in [_failures(matrix)] if pairs]
    text, good = matrix.sentence()
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    parts.append("\n".join(click.style(line, fg="green" if good else "red") for line in lines))
    return "\n\n".join(part for part in parts if part)


def markdown(matrix: Matrix) -> str:
    """The same as a document."""
    heads = [_escaped(each.head) for each in matrix.columns]
    lines = [f"| claim | {' | '.join(heads)} |", f"| --- |{' :-: |' * len(heads)}"]
    for name in matrix.claims:
        words = [each.word(name) for each in matrix.columns]
        lines.append(f"| `{name or 'unknown'}` | {' | '.join(words)} |")
    for label, cells in _feet(matrix.columns):
        lines.append(f"| {label} | {' | '.join(cells)} |")
    lines += ["", *(f"- `{word}`: {LEGEND[word]}" for word in _used(matrix)), ""]
    lines += [f"- {_escaped(each.head)}: {_escaped(each.describe())}" for each in matrix.columns]
    if failures := _failures(matrix):
        lines += ["", *(f"- {_escaped(head)}: {_escaped(text)}" for head, text in failures)]
    return "\n".join([*lines, "", matrix.sentence()[0], ""])


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _used(matrix: Matrix) -> list[str]:
    """The words that the table has, in the legend's order."""
    words = {column.word(name) for column in matrix.columns for name in matrix.claims}
    words |= {column.verdict for column in matrix.columns}
    return [word for word in LEGEND if word in words]


def _feet(columns: Sequence[Column]) -> Iterator[tuple[str, list[str]]]:
    yield "verdict", [each.verdict for each in columns]
    yield "seconds", [f"{each.seconds:.0f}" if each.started else "" for each in columns]


def _failures(matrix: Matrix) -> list[tuple[str, str]]:
    """The tests that failed or broke, by the heads of their kernels."""
    found: list[tuple[str, str]] = []
    for column in matrix.columns:
        texts = [f"{name}: {message}" for name, message in column.failures]
        if len(texts) > _SHOWN:
            rest = f"and {len(texts) - _SHOWN} more, see {column.entry.label}/{OUTPUT}"
            texts[_SHOWN:] = [rest]
        found += [(column.head, text) for text in texts]
    return found


def _tables(matrix: Matrix, width: int) -> Iterator[list[str]]:
    """All kernels side by side, closer where it must be; else as many as there is room for."""
    label = max([len(_INDENT + _short(name)) for name in matrix.claims] + [len("verdict")])
    widths = {column.head: _width(matrix, column) for column in matrix.columns}
    gap = _GAP if label + sum(widths.values()) + _GAP * len(widths) <= width else 1
    columns: list[Column] = []
    for column in [*matrix.columns, None]:
        taken = label + sum(widths[each.head] + gap for each in columns)
        if columns and (column is None or taken + widths[column.head] + gap > width):
            cells = [widths[each.head] + gap for each in columns]
            yield [_drawn(row, label, cells) for row in _rows(matrix, columns)]
            columns = []
        if column is not None:
            columns.append(column)


def _width(matrix: Matrix, column: Column) -> int:
    words = [column.word(name) for name in matrix.claims]
    words += [cell for _, (cell,) in _feet([column])]
    return max(map(len, [column.head, *words]))


def _rows(matrix: Matrix, columns: Sequence[Column]) -> Iterator[_Row]:
    yield _Row("", tuple(each.head for each in columns))
    chapter = None
    for name in matrix.claims:
        if matrix.chapter(name) != chapter:
            chapter = matrix.chapter(name)
            yield _Row(chapter)
        yield _Row(_INDENT + _short(name), tuple(each.word(name) for each in columns))
    for label, cells in _feet(columns):
        yield _Row(label, tuple(cells))


def _short(claim: str) -> str:
    return claim.partition(".")[2] or claim or "(unknown)"


def _drawn(row: _Row, label: int, widths: Sequence[int]) -> str:
    if not row.cells:
        return click.style(row.text, bold=True)
    drawn = [row.text.ljust(label)]
    for word, width in zip(row.cells, widths, strict=True):
        padded = word.rjust(width)
        drawn.append(click.style(padded, fg=_COLOURS[word]) if word in _COLOURS else padded)
    return "".join(drawn).rstrip()


def _entries(pairs: Sequence[tuple[str, str]], width: int) -> Iterator[str]:
    """Words with what they mean, each wrapped under itself."""
    column = max((len(head) for head, _ in pairs), default=0) + _GAP
    for head, text in pairs:
        yield from textwrap.wrap(
            text,
            width,
            initial_indent=head.ljust(column),
            subsequent_indent=" " * column,
            break_long_words=False,
            break_on_hyphens=False,
        ) or [head]
