# SPDX-License-Identifier: GPL-2.0-only
"""TOML and JSON that somebody else wrote, in the types that its reader works with.

A dataclass, a list or a dictionary says what is expected, and msgspec compares, strictly: no text
is a number, no truth is a count. What a key means, and which go together, is for the reader.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import NoReturn, TypeVar

import msgspec

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_T = TypeVar("_T")


class ShapeError(ValueError):
    """What was read is not as expected; the text is a clause: the place in it, and the rule."""


def shaped(value: object, shape: type[_T], *, others: bool = False) -> _T:
    """The value as a `shape`. Raises `ShapeError`.

    Of a dataclass the value's keys are fields; with `others` keys that are none are left out.
    """
    try:
        made = msgspec.convert(value, shape, str_keys=True)
    # UnicodeEncodeError: half a surrogate pair, which JSON may have, as a key or a word of an enum.
    except (msgspec.ValidationError, UnicodeEncodeError, RecursionError) as error:
        raise ShapeError(str(error)) from None
    if dataclasses.is_dataclass(shape) and isinstance(value, dict) and not others:
        known = [each.name for each in dataclasses.fields(shape)]
        if unknown := [key for key in value if key not in known]:
            raise ShapeError(f"unknown key {unknown[0]!r}; known: {', '.join(known)}")
    return made


def required(shape: type) -> list[str]:
    """The keys that a table must have to be this dataclass."""
    return [
        each.name
        for each in dataclasses.fields(shape)
        if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
    ]


def from_json(text: str | bytes, shape: type[_T], *, others: bool = False) -> _T:
    """Strict JSON, as `shaped`. Raises `ShapeError`."""
    try:
        found = json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ShapeError(f"it is no JSON: {error}") from None
    return shaped(found, shape, others=others)


def from_toml(text: str | bytes, shape: type[_T], *, others: bool = False) -> _T:
    """TOML, as `shaped`. Raises `ShapeError`."""
    try:
        found = tomllib.loads(text.decode("utf-8") if isinstance(text, bytes) else text)
    except UnicodeDecodeError as error:
        raise ShapeError(f"it is no text in UTF-8 (byte {error.start})") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ShapeError(f"it is no TOML: {error}") from None
    return shaped(found, shape, others=others)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")
