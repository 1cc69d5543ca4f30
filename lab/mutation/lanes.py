# SPDX-License-Identifier: GPL-2.0-only
"""The machines of a mutation: which of them judges the next mutant."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from lab.campaign import side_by_side
from lab.emulation import share as shares
from lab.launch.request import Request
from lab.mutation.asked import Asked
from lab.mutation.keep import MEMORY_MB
from lab.mutation.lane import Lane


class Lanes:
    """All machines of a mutation, at most `parallel`, each kept by a `program`.

    `folders` are those of its kernels.
    """

    def __init__(self, program: Sequence[str], parallel: int, folders: Iterable[Path] = ()) -> None:
        for left in (left for folder in folders for left in folder.glob(".lane-*")):
            with contextlib.suppress(OSError):
                shares.remove(left)
            shutil.rmtree(left, ignore_errors=True)  # of a mutation that was killed
        self._program = program
        self._parallel = parallel
        self._lanes: list[Lane] = []
        self._made = 0

    def ask(
        self,
        source_file: Path,
        folder: Path,
        modules: str,
        request: Request,
        *,
        boot_limit_s: float,
        limit_s: float,
        fresh: bool,
        stock: str = "",
    ) -> Asked:
        """Lets a machine of this kernel judge a mutant: a free one, or one that is booted now.

        `fresh`: only the latter will do. In a machine that judged others before it has half of the
        time, for it may have to be asked again.
        """
        for lane in [each for each in self._lanes if each.used_up or each.child.look() is not None]:
            self._remove(lane)
        free = [lane for lane in self._lanes if not lane.busy]
        fitting = next((lane for lane in free if lane.source_file == source_file), None)
        if fitting is None or fresh:
            if free and len(self._lanes) >= self._parallel:
                self._remove(free[0])
            self.make_room()
            self._made += 1
            place = source_file.parent / f".lane-{self._made}"
            fitting = Lane(self._program, source_file, place, boot_limit_s)
            self._lanes.append(fitting)
        limit_s = limit_s / 2 if fitting.served else limit_s
        return Asked(fitting, folder, modules, request, limit_s, stock=stock)

    def make_room(self) -> None:
        """Ends a machine that waits, where the host has no memory for one more beside it."""
        needed = MEMORY_MB + side_by_side.MACHINE_SPARE_MB
        waiting = [each for each in self._lanes if not each.busy and not each.used_up]
        if waiting and side_by_side.available_megabytes() < needed:
            waiting[0].end()

    def close(self) -> None:
        """Ends all machines, and removes what they leave."""
        for lane in list(self._lanes):
            self._remove(lane)

    def _remove(self, lane: Lane) -> None:
        lane.end()
        lane.share.close()
        with contextlib.suppress(OSError):
            shares.remove(lane.place)
        shutil.rmtree(lane.place, ignore_errors=True)
        self._lanes.remove(lane)
