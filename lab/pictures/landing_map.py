# SPDX-License-Identifier: GPL-2.0-only
"""Draws the landing map of a sweep: every boundary of the way in, and what became of its kicks."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from lab.pictures.style import pyplot, save
from lab.sweep.verdict import Boundary, SweepVerdict

# Outcome -> colour, hatching and words; in grey they differ by lightness.
_ANSWERED = ("#4d86b8", "answered at that instruction")
_OFF = ("#d8dee4", "interrupts are off: taken later, answered before the guest ran")
_WAITED = ("#c0392b", "waited: the guest ran on")
_SIZE = (11.0, 4.6)  # inches
_LEAST_NAMED = 0.012  # of the width: a shorter function has no name on the axis


def draw(way: str, verdicts: Sequence[SweepVerdict], title: str, folder: Path) -> Path:
    """Writes landing-WAY.png and .svg; the path of the first. Raises OSError."""
    with _figure(way, verdicts, title) as figure:
        for ending in ("svg", "png"):
            path = folder / f"landing-{way}.{ending}"
            save(figure, path, ending)
    return path


def as_svg(way: str, verdicts: Sequence[SweepVerdict], title: str) -> bytes:
    """The same picture."""
    file = io.BytesIO()
    with _figure(way, verdicts, title) as figure:
        save(figure, file, "svg", transparent=True)
    return file.getvalue()


@contextlib.contextmanager
def _figure(way: str, verdicts: Sequence[SweepVerdict], title: str) -> Iterator[Any]:
    plt = pyplot()
    figure, axes = plt.subplots(figsize=_SIZE, layout="constrained")
    try:
        _rows(axes, verdicts)
        _names(axes, verdicts[0])
        axes.set_title(f"Kicks at every instruction into the guest: {way}, {title}", loc="left")
        yield figure
    finally:
        plt.close(figure)


def _rows(axes: Any, verdicts: Sequence[SweepVerdict]) -> None:
    """A bar a protocol, a segment a run of boundaries with one outcome."""
    drawn: dict[str, Any] = {}
    for row, verdict in enumerate(verdicts):
        for (colour, words), group in groupby(_shown(verdict), key=_outcome):
            run = list(group)
            bar = axes.barh(
                row,
                run[-1].position - run[0].position + 1,
                left=run[0].position,
                height=0.62,
                color=colour,
                edgecolor="black" if words == _WAITED[1] else "none",
                linewidth=0.8,
            )
            drawn.setdefault(words, bar)
    axes.set_yticks(
        range(len(verdicts)),
        [f"{each.protocol.value}\n{_count(each)}" for each in verdicts],
    )
    axes.set_ylim(-0.6, len(verdicts) - 0.4)
    axes.invert_yaxis()
    axes.set_xlim(verdicts[0].check, max(each.entry for each in verdicts))
    axes.legend(
        drawn.values(),
        drawn.keys(),
        loc="lower right",
        bbox_to_anchor=(1, 0.06),
        fontsize=8,
        ncols=len(drawn),
        frameon=False,
    )
    axes.spines[["top", "right", "left"]].set_visible(False)


def _shown(verdict: SweepVerdict) -> list[Boundary]:
    """Of a control only the window: what comes later is answered, and judges nothing."""
    whole = verdict.protocol.keeps_its_promise
    return [each for each in verdict.boundaries if whole or not each.in_kernel]


def _count(verdict: SweepVerdict) -> str:
    if verdict.protocol.keeps_its_promise:
        return f"{verdict.covered:,} + {verdict.held:,} off"
    return f"{verdict.overtaken_in_window} of {verdict.in_window} lost"


def _outcome(each: Boundary) -> tuple[str, str]:
    if each.overtaken:
        return _WAITED
    return _ANSWERED if each.at_once else _OFF


def _names(axes: Any, verdict: SweepVerdict) -> None:
    """The functions of the way below the axis, each where it begins, if there is room."""
    runs = []
    for name, group in groupby(verdict.boundaries, key=lambda each: each.function):
        found = list(group)
        runs.append((found[0].position, len(found), name))
    span = max(1, verdict.entry - verdict.check)
    last = -span
    places, names = [], []
    for position, length, name in runs:
        if (length / span >= _LEAST_NAMED or position == verdict.check) and (
            position - last
        ) / span >= _LEAST_NAMED:
            places.append(position)
            names.append(name)
            last = position
    axes.set_xticks(places, names, rotation=60, ha="right", rotation_mode="anchor", fontsize=7)
    ruler = axes.secondary_xaxis("top")
    ruler.set_xlabel("instructions since the round began", fontsize=8)
    ruler.tick_params(labelsize=7)
