# SPDX-License-Identifier: GPL-2.0-only
"""How long: in a text that somebody typed, and for people."""

from __future__ import annotations

import re

LONGEST_S = 365 * 86_400.0
_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


def duration(text: str) -> float:
    """Seconds in a text such as 90s, 15m, 8h, 2d or 1h30m. Raises ValueError with a sentence."""
    example = "give a number and s, m, h or d, for example 90s, 15m or 8h"
    parts = _PART.findall(text.strip())
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        if re.fullmatch(r"-.*", text.strip()):
            raise ValueError(f"{text!r}: a duration cannot be negative; {example}")
        raise ValueError(f"{text!r} is not a duration; {example}")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds < 1:
        raise ValueError(f"{text!r} is too short: give at least 1s")
    if seconds > LONGEST_S:
        raise ValueError(f"{text!r} is too long: give at most a year, 365d")
    return seconds


def clock(seconds: float) -> str:
    """A duration for people: 8:00:00."""
    whole = max(0, round(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
