# SPDX-License-Identifier: GPL-2.0-only
"""What the dirty log of the guest's memory must have (KVM_GET_DIRTY_LOG)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from harness.model.answers import ModelVcpu
from harness.sequences import arch

PAGE = os.sysconf("SC_PAGESIZE")


class DirtyLog:
    """Since it was read last, with the guest at a step. `own` says where the program stores to
    besides what its steps do: its log."""

    def __init__(
        self, model: ModelVcpu, own: Callable[[ModelVcpu], Sequence[int]] = lambda model: ()
    ) -> None:
        self._own = own
        self._stored: set[int] = set()
        # A kick may have come behind the store of what was under way, and a string has pieces.
        self._perhaps_before = self._stores(model)

    def note(self, here: ModelVcpu, after: ModelVcpu) -> None:
        """The guest went on from one to the other."""
        while here.total < after.total:
            self._stored |= self._stores(here)
            here = here.after_step()

    @property
    def stored(self) -> set[int]:
        """The pages that the guest certainly stored to since."""
        return self._stored - self._perhaps_before

    def _stores(self, model: ModelVcpu) -> set[int]:
        stores = arch.current().PROGRAM.stores(model.step)
        return {each // PAGE for each in (*self._own(model), *stores)}
