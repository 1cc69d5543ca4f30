# SPDX-License-Identifier: GPL-2.0-only
"""What is read of TOML and JSON, and the clause for everything that is not as expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness import json_lines
from harness.shapes import ShapeError, from_json, from_toml, shaped


@dataclass(frozen=True)
class Thing:
    name: str
    size: int = 1
    words: tuple[str, ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict)
    of: int | None = None


def test_a_whole_thing() -> None:
    text = '{"name": "a", "size": 3, "words": ["b"], "shares": {"c": 1}, "of": null}'
    assert from_json(text, Thing) == Thing("a", 3, ("b",), {"c": 1.0})
    assert from_toml('name = "a"', Thing) == Thing("a")
    assert shaped({"name": "a", "later": 1}, Thing, others=True) == Thing("a")
    assert from_json(b'["a\\udc80"]', list[str]) == ["a\udc80"], "what a journal's writer escaped"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ([], "Expected `object`, got `array`"),
        ({}, "Object missing required field `name`"),
        ({"name": 3}, "Expected `str`, got `int` - at `$.name`"),
        ({"name": "a", "size": True}, "Expected `int`, got `bool` - at `$.size`"),
        ({"name": "a", "size": "1"}, "Expected `int`, got `str` - at `$.size`"),
        ({"name": "a", "size": 1.0}, "Expected `int`, got `float` - at `$.size`"),
        ({"name": "a", "size": None}, "Expected `int`, got `null` - at `$.size`"),
        ({"name": "a", "words": ["b", 1]}, "Expected `str`, got `int` - at `$.words[1]`"),
        ({"name": "a", "shares": {"b": "c"}}, "Expected `float`, got `str` - at `$.shares[...]`"),
        ({"name": "a", "of": "b"}, "Expected `int | null`, got `str` - at `$.of`"),
        ({"name": "a", "\x1b": 1}, r"unknown key '\x1b'; known: name, size, words, shares, of"),
    ],
)
def test_another_shape_is_named(value: object, why: str) -> None:
    with pytest.raises(ShapeError) as raised:
        shaped(value, Thing)
    assert str(raised.value) == why


@pytest.mark.parametrize("others", [False, True])
def test_a_key_that_no_file_can_hold_is_another_shape(others: bool) -> None:
    with pytest.raises(ShapeError, match="surrogates not allowed"):
        from_json(r'{"name": "a", "\ud800": 1}', Thing, others=others)


@pytest.mark.parametrize(
    "text",
    ["", "{", "NaN", "[-Infinity]", "[" * 100_000, '{"a": ' * 100_000, b'"\xff"'],
)
def test_what_is_no_json(text: str | bytes) -> None:
    with pytest.raises(ShapeError, match=r"^it is no JSON: "):
        from_json(text, dict[str, Any])


@pytest.mark.parametrize("text", ["a =", "a = " + "[" * 100_000])
def test_what_is_no_toml(text: str) -> None:
    with pytest.raises(ShapeError, match=r"^it is no TOML: "):
        from_toml(text, dict[str, Any])


def test_what_is_no_text() -> None:
    with pytest.raises(ShapeError, match=r"^it is no text in UTF-8 \(byte 5\)$"):
        from_toml(b'a = "\xff"', dict[str, Any])


def test_lines_longer_than_all_that_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    file.write_bytes(json_lines.encoded({"a": "b" * 100}) * 3)
    assert len(list(json_lines.read(file, limit=file.stat().st_size))) == 3
    with pytest.raises(OSError, match="larger than"):
        list(json_lines.read(file, limit=file.stat().st_size - 1))
