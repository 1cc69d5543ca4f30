# SPDX-License-Identifier: GPL-2.0-only
"""Names that every consumer takes, and that no two tests have."""

from __future__ import annotations

import re
from collections.abc import Iterable

from harness import plain_text

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")


def name(text: str) -> str:
    """Letters, digits, dots, hyphens and underscores: no white space, bracket or number sign."""
    return _NOT_IN_NAMES.sub("_", plain_text.line(text)).strip("_") or "unnamed"


def word(text: str) -> str:
    """The same in lower case, without dots and hyphens."""
    return re.sub(r"[^a-z0-9]+", "_", name(text).lower()).strip("_") or "unnamed"


def apart(texts: Iterable[str], within: str = "", known: set[str] | None = None) -> list[str]:
    """A name for each, of which no two are one: also where all that is no letter becomes `_`.

    Linaro's parsers do that to names. `known` are those that there are already, `within` what
    stands before the names and is no part of them.
    """
    known = set() if known is None else known
    found = []
    for text in texts:
        first = told = name(text)
        number = 1
        while (key := word(f"{within}_{told}")) in known:
            number += 1
            told = f"{first}_{number}"
        known.add(key)
        found.append(told)
    return found


def sentence(text: str, limit: int = 1000) -> str:
    """One line of so many characters at most."""
    said = plain_text.line(text)
    return said if len(said) <= limit else f"{said[: limit - 4]} ..."
