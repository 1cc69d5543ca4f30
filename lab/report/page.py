# SPDX-License-Identifier: GPL-2.0-only
"""The page: the template, what it may call, and how much of everything there is room for.

Everything in it was said by others. All text is escaped (jinja2), without what no file of HTML may
hold (`_clean`), and bounded: a run of 20,000 tests must give a page that opens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from harness import plain_text
from harness.claims import catalogue, chapters
from harness.reporting.results import shorten
from lab import pictures
from lab.pictures.style import time
from lab.report import evidence, races, view
from lab.results import names
from lab.results.found import FoundSuite
from lab.soak.tally import LANDING_WORDS

#: For a whole page: characters of details, logs and programs; rows of tests; pictures of runs.
ROOM = 4_000_000
ROWS = 5_000
_PICTURED_RUNS = 12
_PROGRAMS = 20
#: Of a claim in one run: tests told with their evidence, and those that are only named besides.
TOLD, NAMED = 5, 200
#: Of a run: so many properties of its environment.
PROPERTIES = 60

#: Code points that are no characters (HTML Standard, 12.2.3.5, noncharacter-in-input-stream).
_NO_CHARACTERS = re.compile(
    "[\ufdd0-\ufdef"
    + "".join(f"{chr(n << 16 | 0xFFFE)}{chr(n << 16 | 0xFFFF)}" for n in range(17))
    + "]"
)
_LEFT_OUT = "left out: the page would be too long"


def _clean(text: str) -> str:
    return _NO_CHARACTERS.sub("\ufffd", plain_text.plain(text))


def _finalize(value: Any) -> Any:
    return _clean(value) if type(value) is str else value  # Markup is a str, and our own


class Room:
    """What is left of the page's bounds."""

    def __init__(self) -> None:
        self._left = {"text": ROOM, "rows": ROWS, "programs": _PROGRAMS, "pictures": _PICTURED_RUNS}

    def text(self, said: str) -> str:
        """A long text, or its ends, or that there is no room."""
        kept = shorten(said)
        return kept if self.take("text", len(kept)) == len(kept) else _LEFT_OUT

    def take(self, what: str, wanted: int = 1) -> int:
        """So many are left, `wanted` at most."""
        given = max(0, min(wanted, self._left[what]))
        self._left[what] -= given
        return given


def _brief(text: str, limit: int = 200) -> str:
    return names.sentence(text, limit)


def render(suites: Sequence[FoundSuite]) -> str:
    """The file."""
    read = [evidence.of(suite.place) for suite in suites]
    room = Room()

    def drawn(run: view.Run) -> str:
        return races.picture(run.evidence.races) if room.take("pictures") else ""

    def landing_maps(run: view.Run) -> list[tuple[str, str]]:
        sweep = run.evidence.sweep
        return list(races.landing_maps(sweep)) if sweep and room.take("pictures") else []

    here = Path(__file__).parent
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(here),
        autoescape=True,
        finalize=_finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["brief"] = _brief
    return environment.get_template("page.html.jinja").render(
        page=view.page(suites, read, catalogue(), chapters()),
        style=Markup((here / "page.css").read_text(encoding="utf-8")),  # our own
        room=room,
        told=TOLD,
        named=NAMED,
        properties=PROPERTIES,
        tone=view.tone,
        state=view.state,
        drawn=drawn,
        landing_maps=landing_maps,
        time=time,
        can_draw=pictures.can_draw(),
        landings=LANDING_WORDS,
    )
