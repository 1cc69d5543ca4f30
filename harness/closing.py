# SPDX-License-Identifier: GPL-2.0-only
"""What a `with` block closes at its end."""

from __future__ import annotations

from types import TracebackType
from typing import TypeVar

_T = TypeVar("_T", bound="Closing")


class Closing:
    """An object that leaves nothing open: it has `close()`, and is a context manager by that."""

    def close(self) -> None:
        """Gives back what it has open; nothing more to do the second time."""
        raise NotImplementedError

    def __enter__(self: _T) -> _T:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
