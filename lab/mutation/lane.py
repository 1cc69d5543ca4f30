# SPDX-License-Identifier: GPL-2.0-only
"""Machines that judge one mutant after the other: a boot for many of them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lab.campaign import side_by_side, state
from lab.emulation import share as shares
from lab.emulation.console import last_lines
from lab.emulation.errors import KernelError
from lab.emulation.machine import CONSOLE
from lab.launch.lost import LostVm
from lab.mutation.asked import Asked
from lab.mutation.keep import LOST, MEMORY_MB
from tools.run import Request


class Lane:
    """A machine of one kernel, and the process that keeps it."""

    def __init__(self, source_file: Path, place: Path, boot_limit_s: float) -> None:
        shutil.rmtree(place, ignore_errors=True)
        self.share = shares.make(place)
        self.source_file = source_file
        self.place = place
        self.boot_limit_s = boot_limit_s
        self.served = 0
        self.busy = False
        self.used_up = False
        with (place / state.OUTPUT).open("wb") as output:
            words = ("lane", str(source_file), str(place), str(boot_limit_s))
            self.child = side_by_side.spawn(words, output.fileno(), output.fileno())

    def end(self) -> None:
        """Ends the machine: in order, and if need be at once."""
        self.used_up = True
        for number, seconds in ((signal.SIGINT, 10.0), (signal.SIGKILL, 5.0)):
            if self.child.poll() is not None:
                return
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.child.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(seconds)

    def lost(self) -> LostVm:
        """How it was lost, after its process has ended. Raises `KernelError` if it never was."""
        with contextlib.suppress(OSError, ValueError):
            told: dict[str, Any] = json.loads((self.place / LOST).read_text(encoding="utf-8"))
            if "error" in told:
                raise KernelError(told["error"])
            return LostVm(**{**told, "console": tuple(told["console"])})
        said = last_lines(self.place / state.OUTPUT, 1)
        return self.given_up(f"the machine's process ended without a verdict ({' '.join(said)})")

    def given_up(self, why: str) -> LostVm:
        """A loss that is told from here."""
        return LostVm(why, "", tuple(last_lines(self.place / CONSOLE)))


class Lanes:
    """All machines of a mutation, at most `parallel`; `folders` are those of its kernels."""

    def __init__(self, parallel: int, folders: Iterable[Path] = ()) -> None:
        for left in (left for folder in folders for left in folder.glob(".lane-*")):
            with contextlib.suppress(OSError):
                shares.remove(left)
            shutil.rmtree(left, ignore_errors=True)  # of a mutation that was killed
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
    ) -> Asked:
        """Lets a machine of this kernel judge a mutant: a free one, or one that is booted now.

        `fresh`: only the latter will do. In a machine that judged others before it has half of the
        time, for it may have to be asked again.
        """
        for lane in [each for each in self._lanes if each.used_up or each.child.poll() is not None]:
            self._remove(lane)
        free = [lane for lane in self._lanes if not lane.busy]
        fitting = next((lane for lane in free if lane.source_file == source_file), None)
        if fitting is None or fresh:
            if free and len(self._lanes) >= self._parallel:
                self._remove(free[0])
            self.make_room()
            self._made += 1
            fitting = Lane(source_file, source_file.parent / f".lane-{self._made}", boot_limit_s)
            self._lanes.append(fitting)
        limit_s = limit_s / 2 if fitting.served else limit_s
        return Asked(fitting, folder, modules, request, limit_s)

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
