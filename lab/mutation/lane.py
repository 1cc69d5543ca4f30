# SPDX-License-Identifier: GPL-2.0-only
"""A machine that judges one mutant after the other: a boot for many of them."""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.shapes import ShapeError, from_json, shaped
from lab.campaign import state
from lab.campaign.child import Process
from lab.emulation import share as shares
from lab.emulation.console import last_lines
from lab.emulation.errors import KernelError
from lab.emulation.machine import CONSOLE
from lab.launch.lost import LostVm
from lab.mutation.keep import LOST, machine
from lab.mutation.source import Source


class Lane:
    """A machine of one kernel, and the process that keeps it."""

    def __init__(
        self, program: Sequence[str], source_file: Path, place: Path, boot_limit_s: float
    ) -> None:
        shutil.rmtree(place, ignore_errors=True)
        self.share = shares.make(place)
        self.source_file = source_file
        self.machine = machine(Source.load(source_file).foreign)
        self.place = place
        self.boot_limit_s = boot_limit_s
        self.served = 0
        self.busy = False
        self.used_up = False
        with (place / state.OUTPUT).open("wb") as output:
            words = [*program, "lane", str(source_file), str(place), str(boot_limit_s)]
            self.child = Process(words, output.fileno(), output.fileno())

    def end(self) -> None:
        """Ends the machine: in order, and if need be at once."""
        self.used_up = True
        for number, seconds in ((signal.SIGINT, 10.0), (signal.SIGKILL, 5.0)):
            if self.child.look() is not None:
                return
            self.child.kill(number)
            self.child.wait(seconds)

    def lost(self) -> LostVm:
        """How it was lost, after its process has ended. Raises `KernelError` if it never was."""
        with contextlib.suppress(OSError, ShapeError):
            told = from_json((self.place / LOST).read_bytes(), dict[str, Any])
            if "error" in told:
                raise KernelError(str(told["error"]))
            return shaped(told, LostVm)
        said = last_lines(self.place / state.OUTPUT, 1)
        return self.given_up(f"the machine's process ended without a verdict ({' '.join(said)})")

    def given_up(self, why: str) -> LostVm:
        """A loss that is told from here."""
        return LostVm(why, "", tuple(last_lines(self.place / CONSOLE)))
