# SPDX-License-Identifier: GPL-2.0-only
"""What the pictures of races share. Made for print: nothing differs by colour alone."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

# Greys that stay apart on paper, with one hatching and one line style each.
FILLS = ("#1b3a5c", "#d9822b", "#9fb8cf", "#e8e3d3", "#6b6b6b")
INKS = ("#1b3a5c", "#b8560f", "#4d86b8", "#000000", "#6b6b6b")
HATCHES = ("", "///", "...", "xxx", "\\\\\\")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v")
_DPI = 200


def pyplot() -> Any:
    """matplotlib's, set up for files."""
    # Slow to import, so here. Its cache must not go to a home that cannot be written.
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update(
        {
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "hatch.linewidth": 0.6,
            "svg.hashsalt": "kvm-conformance",  # the same picture is the same file
            "svg.fonttype": "none",
            "text.parse_math": False,  # a kernel's name may have a $
        }
    )
    from matplotlib import pyplot as plt

    return plt


def save(figure: Any, to: Path | io.BytesIO, ending: str, *, transparent: bool = False) -> None:
    """As svg or png."""
    metadata = {"Date": None} if ending == "svg" else None
    figure.savefig(to, format=ending, dpi=_DPI, metadata=metadata, transparent=transparent)


def time(nanoseconds: float) -> str:
    """A time in the unit in which it is short."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("\u00b5s", 1e3)):
        if nanoseconds >= size:
            return f"{nanoseconds / size:.3g} {unit}"
    return f"{nanoseconds:g} ns"
