# SPDX-License-Identifier: GPL-2.0-only
"""The numbers in a struct, each to be changed by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from harness.native import ffi


@dataclass(frozen=True)
class Field:
    """One number: its path in the struct (`cs.base`), its width in bits, and its place."""

    path: str
    width: int
    get: Callable[[], int]
    put: Callable[[int], None]

    def flips(self) -> Iterator[int]:
        """The value with each bit flipped, one after the other."""
        value = self.get()
        yield from (value ^ 1 << bit for bit in range(self.width))

    def extremes(self) -> Iterator[int]:
        """The value with its lowest bit flipped, with all flipped, and all ones."""
        value, ones = self.get(), (1 << self.width) - 1
        yield from {value ^ 1, value ^ ones, ones} - {value}


def numbers(struct: Any, path: str = "") -> Iterator[Field]:
    """Every number in a struct, without the padding between them."""
    kind = ffi.typeof(struct)
    if kind.kind == "pointer":
        struct, kind = struct[0], kind.item
    if kind.kind == "array":
        places = [(index, str(index), kind.item) for index in range(len(struct))]
    else:
        places = [(name, name, field.type) for name, field in kind.fields]
    for place, name, inner in places:
        if inner.kind == "primitive":
            yield _number(struct, place, path + name, inner)
        else:
            yield from numbers(_at(struct, place), f"{path}{name}.")


def _number(struct: Any, place: Any, path: str, kind: Any) -> Field:
    def put(value: int) -> None:
        if isinstance(place, int):
            struct[place] = value
        else:
            setattr(struct, place, value)

    return Field(path, 8 * ffi.sizeof(kind), lambda: int(_at(struct, place)), put)


def _at(struct: Any, place: Any) -> Any:
    return struct[place] if isinstance(place, int) else getattr(struct, place)
