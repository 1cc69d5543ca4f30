# SPDX-License-Identifier: GPL-2.0-only
"""Machines that judge one mutant after the other: a boot for many of them.

A machine is given up, and the next mutant gets a fresh one, as soon as anything is odd: its kernel
complained, KVM could not be removed, or pytest ended otherwise than by a verdict. What was asked in
the folder of a machine, and how it is answered, tells tools/mutate_guest.py.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import signal
import subprocess
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.emulation import bundle, cache, programs
from harness.emulation import kernel as kernels
from harness.emulation.console import last_lines, panic
from harness.emulation.errors import KernelError
from harness.emulation.lost import LostVm
from harness.emulation.machine import CONSOLE, Job, Limits, Machine, run
from harness.mutation.source import Source
from tools import emulate, emulated_run, finish, process_group, run_state, side_by_side
from tools.exit_codes import Exit
from tools.mutate_guest import answer_file, request_file
from tools.run import ROOT, Request

#: A kernel that breaks says so and ends, instead of hanging until the time limit. Twice the usual
#: threshold: an emulated host may be starved for seconds by others on its processors.
PARAMETERS = (
    *("oops=panic", "softlockup_panic=1", "watchdog_thresh=20"),
    *("hung_task_panic=1", "sysctl.kernel.hung_task_timeout_secs=60"),
)
MEMORY_MB = 2048
SILENCE_S = Limits.silence_s
_MOST_SERVED = 25  # a machine that leaks what nobody sees does not get old
_LOST = "lost.json"
_VERDICTS = (0, 1, 5)  # pytest's exit codes: all passed, some failed, none was chosen
_COMPLAINT = "cut here"  # lib/bug.c and kernel/panic.c, above each warning


def machine() -> Machine:
    """The machine of every mutant."""
    return Machine(memory=f"{MEMORY_MB}M", kernel_parameters=PARAMETERS)


def keep(source_file: str, place: str, boot_limit_s: str) -> int:
    """Boots a machine and lets it answer until it ends or is ended; the exit code."""
    source, folder = Source.load(Path(source_file)), Path(place)
    limits = Limits(boot_s=float(boot_limit_s), silence_s=math.inf, total_s=math.inf)
    every = emulated_run.job(machine(), Request(variants=emulated_run.VARIANTS), folder)
    words = [word for word in every.command[3:] if not word.startswith(("--results", "--junit"))]
    command = [*every.command[:2], "tools.mutate_guest", str(folder), *words]
    environment = {k: v for k, v in every.environment.items() if k != finish.LAST_WORDS}
    try:
        programs.check(machine().qemu)
        kernel = kernels.find(source.boot, say=emulate.say)
        with emulated_run.stoppable():
            ended = run(
                kernel,
                machine(),
                Job(command, ROOT, environment),
                folder.parent,
                place=folder,
                bundle=bundle.image(cache.root(), emulate.say),
                limits=limits,
                signs_of_life=lambda: 0.0,
            )
    except emulated_run.StoppedError as stopped:
        return 128 + stopped.number
    except KernelError as error:
        run_state.replace(folder / _LOST, json.dumps({"error": f"{error}."}))
        return Exit.SUITE_ERROR
    lost = ended.lost or LostVm(f"the tests' own process ended ({ended.status})", "", ())
    run_state.replace(folder / _LOST, json.dumps(asdict(lost)))
    return Exit.LOST_VM


class Lane:
    """A machine of one kernel, and the process that keeps it."""

    def __init__(self, source_file: Path, place: Path, boot_limit_s: float) -> None:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        self.source_file = source_file
        self.place = place
        self.served = 0
        self.busy = False
        self.used_up = False
        with (place / run_state.OUTPUT).open("wb") as output:
            words = ("lane", str(source_file), str(place), str(boot_limit_s))
            self.child = side_by_side.spawn(words, output.fileno(), output.fileno())

    def end(self) -> None:
        """Ends the machine: in order, and if need be at once."""
        for number, seconds in ((signal.SIGINT, 10.0), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.child.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.child.wait(seconds)
                break
        self.used_up = True

    def lost(self) -> LostVm:
        """How it was lost, after its process has ended. Raises `KernelError` if it never was."""
        with contextlib.suppress(OSError, ValueError):
            told: dict[str, Any] = json.loads((self.place / _LOST).read_text(encoding="utf-8"))
            if "error" in told:
                raise KernelError(told["error"])
            return LostVm(**{**told, "console": tuple(told["console"])})
        return self.given_up("the machine's process ended without a word")

    def given_up(self, why: str) -> LostVm:
        """A loss that is told from here."""
        lines = last_lines(self.place / CONSOLE)
        return LostVm(why, panic(lines), tuple(lines))


class Asked:
    """A mutant on its way through a lane; side_by_side takes it for a process."""

    def __init__(
        self, lane: Lane, folder: Path, modules: str, request: Request, limit_s: float
    ) -> None:
        self.returncode: int | None = None
        self.had_predecessors = lane.served > 0
        self._lane = lane
        self._folder = folder
        self._number = lane.served
        self._limit_s = limit_s
        self._began = time.monotonic()
        self._sign = (-1, self._began)
        console = lane.place / CONSOLE
        self._offset = console.stat().st_size if self.had_predecessors else 0
        job = emulated_run.job(machine(), request, folder)
        asked = {
            "modules": modules,
            "words": job.command[3:],
            "environment": dict(job.environment),
            "output": str(folder / run_state.OUTPUT),
        }
        lane.busy = True
        lane.served += 1
        (folder / run_state.OUTPUT).write_bytes(b"")
        run_state.replace(request_file(lane.place, self._number), json.dumps(asked))

    @property
    def pid(self) -> int:
        """The process that keeps the machine."""
        return self._lane.child.pid

    def poll(self) -> int | None:
        """The exit code that `emulate` would give; None while the tests go on."""
        if self.returncode is not None:
            return self.returncode
        why = self._too_long()
        answer = answer_file(self._lane.place, self._number)
        if answer.exists():
            self._answered(json.loads(answer.read_text(encoding="utf-8")))
        elif self._lane.child.poll() is not None:
            try:
                self._end(-signal.SIGKILL, self._lane.lost())
            except KernelError as error:
                self._refused(str(error))
        elif why:
            lost = self._lane.given_up(why)
            self._lane.end()
            self._end(-signal.SIGKILL, lost)
        return self.returncode

    def _too_long(self) -> str:
        """Why the machine is given up, or an empty text."""
        now = time.monotonic()
        with contextlib.suppress(OSError):
            size = (self._folder / finish.JOURNAL).stat().st_size
            if size != self._sign[0]:
                self._sign = (size, now)
        if now - self._began > self._limit_s:
            return f"the machine was ended at its time limit of {self._limit_s:.0f} s"
        if self._sign[0] >= 0 and now - self._sign[1] > SILENCE_S:
            return f"the machine hung: no sign of life for {SILENCE_S:.0f} s"
        return ""

    def _answered(self, answer: dict[str, Any]) -> None:
        if refused := answer.get("refused"):
            self._refused(f"it does not load the KVM in its folder: {refused}")
        else:
            self._end(answer["status"], None)
        complaints = last_lines(self._folder / CONSOLE, 10_000)
        self._lane.used_up |= bool(
            answer["left"]
            or answer.get("status") not in _VERDICTS
            or panic(complaints)
            or any(_COMPLAINT in line for line in complaints)
            or self._lane.served >= _MOST_SERVED
        )
        if self._lane.used_up:
            self._lane.end()

    def _end(self, status: int, lost: LostVm | None) -> None:
        """Completes the results, as `emulate` does."""
        self._take_console()
        with (
            (self._folder / run_state.OUTPUT).open("a", encoding="utf-8") as text,
            contextlib.redirect_stdout(text),
            contextlib.redirect_stderr(text),
        ):
            self.returncode = finish.finish(
                self._folder,
                status=status,
                stopped_by=None,
                require_kvm=False,
                narrowed=True,
                lost=lost,
            )
            if lost:
                emulate.show_console(lost)
        self._lane.busy = False

    def _refused(self, why: str) -> None:
        self._take_console()
        with (self._folder / run_state.OUTPUT).open("a", encoding="utf-8") as text:
            text.write(f"Error: {why}\n")
        self.returncode = Exit.SUITE_ERROR
        self._lane.busy = False

    def _take_console(self) -> None:
        """The console's lines of this mutant, of the first one with those of the boot."""
        with (
            contextlib.suppress(FileNotFoundError),
            (self._lane.place / CONSOLE).open("rb") as all_,
        ):
            all_.seek(self._offset)
            (self._folder / CONSOLE).write_bytes(all_.read())


class Lanes:
    """All machines of a mutation, at most `parallel`."""

    def __init__(self, parallel: int) -> None:
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

        `fresh`: only the latter will do.
        """
        for lane in [each for each in self._lanes if each.used_up or each.child.poll() is not None]:
            self._remove(lane)
        free = [lane for lane in self._lanes if not lane.busy]
        fitting = next((lane for lane in free if lane.source_file == source_file), None)
        if fitting is None or fresh:
            if free and len(self._lanes) >= self._parallel:
                self._remove(free[0])
            self._made += 1
            fitting = Lane(source_file, source_file.parent / f".lane-{self._made}", boot_limit_s)
            self._lanes.append(fitting)
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
        if lane.child.poll() is None or process_group.members(lane.child.pid):
            lane.end()
        shutil.rmtree(lane.place, ignore_errors=True)
        self._lanes.remove(lane)
