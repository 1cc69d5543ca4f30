# SPDX-License-Identifier: GPL-2.0-only
"""TOML and JSON that somebody else wrote, in the types that its reader works with.

A dataclass, a list or a dictionary says what is expected, and msgspec compares, strictly: no text
is a number, no truth is a count. What a key means, and which go together, is for the reader.
"""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from typing import NoReturn, TypeVar

import msgspec

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_T = TypeVar("_T")
#: msgspec's names of what is expected and of what was found, for people.
_WORDS = {
    "str": "a text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_OTHER = re.compile(r"Expected `([^`]+)`( [<>=]+ \S+)?(?:, got `([^`]+)`)?")


class ShapeError(ValueError):
    """What was read is not as expected; the text is a clause: the place in it, and the rule."""


def shaped(value: object, shape: type[_T], *, others: bool = False) -> _T:
    """The value as a `shape`. Raises `ShapeError`.

    Of a dataclass the value's keys are fields; with `others` keys that are none are left out.
    """
    try:
        made = msgspec.convert(value, shape, str_keys=True)
    except msgspec.ValidationError as error:
        raise ShapeError(_sentence(*str(error).partition(" - at ")[::2])) from None
    if dataclasses.is_dataclass(shape) and isinstance(value, dict) and not others:
        known = [each.name for each in dataclasses.fields(shape)]
        if unknown := [key for key in value if key not in known]:
            raise ShapeError(f"unknown key {unknown[0]!r}; known: {', '.join(known)}")
    return made


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


def _sentence(why: str, place: str) -> str:
    """msgspec's words in the project's; its place is such as `$.kernel[1].cpus`, in backticks."""
    where = re.sub(r"`|\$\.?", "", place)
    if missing := _MISSING.fullmatch(why):
        return f"{where} has no {missing[1]!r}".lstrip()
    if other := _OTHER.fullmatch(why):
        expected, bound, found = other.groups(default="")
        why = f"must be {_words(expected)}{bound}" + f", not {_words(found)}" * bool(found)
    return f"{where!r} {why}" if where else f"it {why}"


def _words(types: str) -> str:
    return " or ".join(_WORDS.get(each, each) for each in types.split(" | "))
