# SPDX-License-Identifier: GPL-2.0-only
"""Draws the races of a run, a row a test: where its kicks landed, and how long they took."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lab.pictures.style import FILLS, HATCHES, pyplot, save, time
from lab.soak.tally import LANDING_WORDS

_WIDTH, _ROW, _REST = 11.0, 0.24, 1.5  # inches


@dataclass(frozen=True)
class RaceTest:
    """What a test recorded of its kicks.

    `landings` are counts in the order of LANDING_WORDS. With 95 % confidence a kick is lost no more
    often than `bound`. Half of the kicks were answered within `half_ns`, 99 % within `most_ns`.
    """

    test: str
    kicks: int
    lost: int
    bound: str
    landings: tuple[int, ...]
    half_ns: int
    most_ns: int


def as_svg(tests: Sequence[RaceTest]) -> bytes:
    """One picture, landings to the left, latencies to the right."""
    plt = pyplot()
    figure, (left, right) = plt.subplots(
        ncols=2,
        sharey=True,
        figsize=(_WIDTH, _REST + _ROW * len(tests)),
        width_ratios=(3, 2),
        layout="constrained",
    )
    try:
        _landings(left, tests)
        _latency(right, tests)
        names = [
            each.test if not each.lost else f"{each.test} ({each.lost:,} lost)" for each in tests
        ]
        left.set_yticks(range(len(tests)), names, fontsize=8)
        left.invert_yaxis()
        file = io.BytesIO()
        save(figure, file, "svg", transparent=True)
        return file.getvalue()
    finally:
        plt.close(figure)


def _landings(axes: Any, tests: Sequence[RaceTest]) -> None:
    """A bar a test: the share of its kicks that landed in each place."""
    so_far = [0.0] * len(tests)
    for number, word in enumerate(LANDING_WORDS):
        shares = [100 * each.landings[number] / max(1, sum(each.landings)) for each in tests]
        axes.barh(
            range(len(tests)), shares, left=so_far, height=0.7, label=word,
            facecolor=FILLS[number], hatch=HATCHES[number], edgecolor="black", linewidth=0.5,
        )  # fmt: skip
        so_far = [before + share for before, share in zip(so_far, shares, strict=True)]
    axes.set_xlim(0, 100)
    axes.set_xlabel("where the kicks met the vCPU's thread (% of the test's kicks)")
    axes.figure.legend(
        loc="outside lower left", ncols=len(LANDING_WORDS), frameon=False, fontsize=8
    )


def _latency(axes: Any, tests: Sequence[RaceTest]) -> None:
    """A line a test, from the time of half of its kicks to that of 99 %."""
    timed = [(row, each) for row, each in enumerate(tests) if each.half_ns and each.most_ns]
    for row, each in timed:
        axes.plot([each.half_ns, each.most_ns], [row, row], color="#6b6b6b", linewidth=1.2)
    for marker, fill, ends in (
        ("o", "#1b3a5c", [each.half_ns for _, each in timed]),
        ("D", "white", [each.most_ns for _, each in timed]),
    ):
        axes.plot(
            ends, [row for row, _ in timed], linestyle="none", marker=marker, markersize=4.5,
            markerfacecolor=fill, markeredgecolor="#1b3a5c",
        )  # fmt: skip
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    ticks = [10.0**power for power in range(2, 13) if low <= 10.0**power <= high]
    axes.set_xticks(ticks, [time(each) for each in ticks])
    axes.set_xlabel("time to answer: half (dot), 99 % (diamond)")
    axes.grid(axis="x", linewidth=0.4, color="0.85")
    axes.set_axisbelow(True)
