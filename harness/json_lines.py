# SPDX-License-Identifier: GPL-2.0-only
"""JSON lines: one object a line, on the disk before what it tells of goes on.

So a line is written whole and fsync'ed, in strict JSON, and a reader takes a file that was cut at
any byte. Numbers are finite, for strict readers of JSON know no others.
"""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness import files
from harness.plain_text import plain
from harness.shapes import ShapeError, from_json

_LONGEST = 64 * files.MEGABYTE


def append(descriptor: int, entry: Mapping[str, Any]) -> None:
    """Writes a line and waits for the disk. Raises OSError, which may leave half a line."""
    data = memoryview(encoded(entry))
    while data:
        data = data[os.write(descriptor, data) :]
    os.fsync(descriptor)


def encoded(entry: Mapping[str, Any]) -> bytes:
    """A line, in strict JSON whatever the values are."""
    # ASCII with escapes: valid whatever bytes a guest or the kernel log put into a message.
    return f"{json.dumps(_as_json(entry), allow_nan=False)}\n".encode("ascii")


def decoded(line: bytes) -> dict[str, Any]:
    """What a line says, in plain texts. Raises `ShapeError` for none."""
    try:
        found: dict[str, Any] = _plain(from_json(line, dict[str, Any]))
    except RecursionError as error:
        raise ShapeError(f"it is no JSON: {error}") from None
    return found


def read(
    path: Path, damage: type[ValueError] = ShapeError, limit: float = math.inf
) -> Iterator[dict[str, Any]]:
    """The lines of a file, one at a time; a last one that is torn is left out.

    Raises `damage` for a line before the last that is none, and OSError: the file cannot be read,
    is no regular one, or is longer than `limit` bytes.
    """
    with os.fdopen(files.open_regular(path), "rb") as file:
        number = 0
        while line := file.readline(_LONGEST):
            number += 1
            if file.tell() > limit:
                why = f"it is larger than {limit / files.MEGABYTE:.0f} MB"
                raise OSError(errno.EFBIG, why, str(path))
            if not line.endswith(b"\n"):
                if len(line) < _LONGEST:
                    return
                raise damage(f"{path}, line {number}: too long for a journal's line")
            try:
                entry = decoded(line)
            except ShapeError as error:
                why = f"damaged, not a line of a journal: {error}"
                raise damage(f"{path}, line {number}: {why}") from None
            yield entry


def _as_json(value: Any) -> Any:
    """What JSON can say; all else as a text, infinity and NaN among it."""
    if isinstance(value, Mapping):
        return {str(key): _as_json(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_as_json(each) for each in value]
    if value is None or isinstance(value, (str, int)):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else str(value)


def _plain(value: Any) -> Any:
    """What JSON holds, with plain texts."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {plain(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value
