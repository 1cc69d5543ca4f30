# SPDX-License-Identifier: GPL-2.0-only
"""Durations as people type them."""

from __future__ import annotations

import pytest

from lab.launch.duration import duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("8h", 28_800), ("2d", 172_800), ("1h30m", 5_400), ("1.5m", 90)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0s", "too short"),
        ("0.5s", "too short"),
        ("-5s", "negative"),
        ("366d", "a year"),
        ("9" * 400 + "d", "a year"),
        ("8", "not a duration"),
        ("8 hours", "not a duration"),
        ("", "not a duration"),
        ("nan", "not a duration"),
        ("1h-30m", "not a duration"),
    ],
)
def test_durations_that_are_none(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        duration(text)
