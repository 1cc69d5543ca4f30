# SPDX-License-Identifier: GPL-2.0-only
"""Draws tallies of races: where kicks landed, and how long they took.

Made for print: protocols differ by hatching or by the style of the line, not by colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import files
from lab.pictures.style import FILLS, HATCHES, INKS, LINES, MARKERS, pyplot, save, time
from lab.soak.tally import LANDING_WORDS, Tally

_SIZE = (8.0, 4.8)  # inches
_SHARES = (0.5, 0.99, 0.9999)


def draw(
    tallies: Mapping[str, Tally], headline: str, folder: Path, formats: tuple[str, ...]
) -> list[Path]:
    """Writes landings.* and latency.*, each complete or not at all. Raises OSError."""
    plt = pyplot()
    written = []
    for name, make in (("landings", _landings), ("latency", _latency)):
        figure, axes = plt.subplots(figsize=_SIZE, layout="constrained")
        try:
            make(axes, tallies)
            title = axes.get_title(loc="left")
            axes.set_title("", loc="left")
            figure.suptitle(f"{title}\n{headline}", fontsize=10, ha="left", x=0.01)
            for ending in formats:
                path = folder / f"{name}.{ending}"
                with files.replacing(path) as fresh:
                    save(figure, fresh, ending)
                written.append(path)
        finally:
            plt.close(figure)
    return written


def _label(protocol: str, tally: Tally) -> str:
    return f"{protocol} (n = {tally.kicks:,}, {tally.losses:,} lost)"


def _landings(axes: Any, tallies: Mapping[str, Tally]) -> None:
    """Bars in groups: kicks by landing on a log axis, for rare landings matter most."""
    width = 0.8 / len(tallies)
    most = max(max(tally.landings.values(), default=1) for tally in tallies.values())
    small = 7.5 if len(tallies) <= 3 else 6.5
    for index, (protocol, tally) in enumerate(tallies.items()):
        places = [at + (index - (len(tallies) - 1) / 2) * width for at in range(len(LANDING_WORDS))]
        counts = [tally.landings[word] for word in LANDING_WORDS]
        axes.bar(
            places, counts, width * 0.92,
            label=_label(protocol, tally), facecolor=FILLS[index % len(FILLS)],
            hatch=HATCHES[index % len(HATCHES)], edgecolor="black", linewidth=0.6,
        )  # fmt: skip
        for place, count in zip(places, counts, strict=True):
            share = _percent(count, tally.kicks)
            axes.annotate(
                share, (place, max(count, 0.6)), (0, 2), textcoords="offset points",
                ha="center", va="bottom", fontsize=small, rotation=90 if len(tallies) > 3 else 0,
            )  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(0.5, max(10, most) * 4)
    axes.set_xticks(range(len(LANDING_WORDS)), LANDING_WORDS)
    axes.set_xlabel("where the kick met the vCPU's thread")
    axes.set_ylabel("kicks (log scale)")
    axes.grid(axis="y", linewidth=0.4, color="0.8")
    axes.set_axisbelow(True)
    axes.set_title("Landings of kicks, by protocol (share of the protocol's kicks)", loc="left")
    _legend(axes, len(tallies))


def _latency(axes: Any, tallies: Mapping[str, Tally]) -> None:
    """The share of kicks that took longer, both axes log: the tail is what matters."""
    floor = 1.0
    for index, (protocol, tally) in enumerate(tallies.items()):
        edges, above = tail(tally)
        if not edges:
            continue
        floor = min(floor, min(above))
        axes.step(
            edges,
            above,
            where="post",
            label=_label(protocol, tally),
            color=INKS[index % len(INKS)],
            linestyle=LINES[index % len(LINES)],
            linewidth=1.6,
            marker=MARKERS[index % len(MARKERS)],
            markersize=4,
            markerfacecolor="white",
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(floor / 3, 1.6)
    for share in _SHARES:
        if 1 - share > floor / 3:
            axes.axhline(1 - share, color="0.6", linewidth=0.6, linestyle=(0, (1, 3)))
            axes.annotate(
                f"{share * 100:g} %\nanswered", (1.0, 1 - share), (3, 0),
                xycoords=("axes fraction", "data"), textcoords="offset points",
                ha="left", va="center", fontsize=7, color="0.3", annotation_clip=False,
            )  # fmt: skip
    low, high = axes.get_xlim()
    ticks = [10.0**power for power in range(2, 13) if low <= 10.0**power <= high]
    axes.set_xticks(ticks, [time(each) for each in ticks])
    axes.set_xlabel(
        "time from the kick to its acknowledgement (log scale; buckets are powers of 2)"
    )
    axes.set_ylabel("share of kicks that took longer (log scale)")
    axes.grid(linewidth=0.4, color="0.85")
    axes.set_axisbelow(True)
    axes.set_title("Latency of kicks, by protocol", loc="left")
    _legend(axes, len(tallies))


def tail(tally: Tally) -> tuple[list[float], list[float]]:
    """Upper edges of the buckets (ns), and the share of the kicks above each.

    The last bucket has none above it; on a log axis it ends at half a kick.
    """
    whole = sum(tally.latency.values())
    edges: list[float] = []
    above: list[float] = []
    left = whole
    for bucket in sorted(tally.latency):
        if not edges:
            edges.append(float(1 << bucket) / 2 if bucket else 1.0)
            above.append(1.0)
        left -= tally.latency[bucket]
        edges.append(float(1 << bucket))
        above.append(max(left, 0.5) / whole)
    return edges, above


def _legend(axes: Any, count: int) -> None:
    # Below the axes, where nothing is drawn.
    axes.figure.legend(
        loc="outside lower center", ncols=1 if count < 2 else 2, frameon=False, fontsize=8
    )


def _percent(count: int, whole: int) -> str:
    """A share, short enough for the width of a bar."""
    if not count:
        return "0"
    share = 100 * count / whole
    return f"{share:.2g} %" if share >= 0.1 else f"{share:.0e} %".replace("e-0", "e-")
