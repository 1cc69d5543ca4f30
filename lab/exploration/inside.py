# SPDX-License-Identifier: GPL-2.0-only
"""The program that plays random sequences: ``python -m lab.exploration.inside FOLDER``.

FOLDER/request.json says what. It ends with 0, whatever was found: that stands in its journal.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from harness import json_lines
from harness.host.kernel_log import KernelLog, alarms
from harness.kvm import arch
from harness.kvm.abi import KvmError
from harness.kvm.system import System
from harness.model.answers import ModelVcpu
from harness.sequences.drawing import Refuted, explore_one
from harness.sequences.operations import operations
from harness.sequences.sequence import Done, Recorded, play
from harness.sequences.setting import Setting
from harness.sequences.shrinking import shortest
from harness.sequences.told import told_calls
from harness.sequences.violation import Violation
from lab.exploration.coverage import Coverage
from lab.exploration.entered import Entered, NotTracedError
from lab.exploration.files import (
    JOURNAL,
    REQUEST,
    UNDER_WAY,
    Exploration,
    FailedSequence,
    UnderWay,
    under_way,
)
from lab.exploration.report import OF_SEQUENCES, OF_SUITES
from lab.launch.exit_codes import Exit

ROOT = Path(__file__).resolve().parents[2]  # lab.launch.request imports what no payload has
_TELL_S = 1.0
_COVERAGE_S = 20.0  # it is long, and kept in case the machine dies
#: No operation takes so long: a run that hangs is rescued before.
STALLED_S = 180.0
HUNG = 75  # the exit code then
SUITES_S = 2400.0
#: They ran to their end; a race that the tracer slows down may prove nothing.
_JUDGED = (Exit.HELD, Exit.FAILED, Exit.SUITE_ERROR)
_SUITES = [
    *(sys.executable, "-m", "pytest", "-qq", "-p", "no:cacheprovider", "suites"),
    *("--ignore=suites/explored", "--budget=2000"),
]
ALARM = "the kernel's log"


class Watched(UnderWay):
    """Writes down what is done, counts it, and ends this process where nothing goes on."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.coverage = Coverage(Counter(dict.fromkeys(operations(), 0)))
        self._moved = time.monotonic()
        threading.Thread(target=self._watch, daemon=True).start()

    def begins(self, setting: Setting) -> None:
        """A sequence."""
        self._moved = time.monotonic()
        self.coverage.begins()
        super().begins(setting)

    def does(self, done: Done, model: ModelVcpu) -> None:
        """An operation."""
        self._moved = time.monotonic()
        self.coverage.count(done.operation, model)
        super().does(done, model)

    def over(self) -> None:
        """No sequence comes any more."""
        self._moved = math.inf

    def _watch(self) -> None:
        while time.monotonic() - self._moved < STALLED_S:
            time.sleep(_TELL_S)
        os._exit(HUNG)


class Explorer:
    """Plays sequences, and writes the journal."""

    def __init__(self, folder: Path, asked: Exploration) -> None:
        self._asked, self._folder = asked, folder
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        self._journal = os.open(folder / JOURNAL, flags, 0o644)
        self._watched = Watched(folder / UNDER_WAY)
        self._log = KernelLog()
        self._known: set[str] = set()
        self._played = 0
        self._told = time.monotonic()
        self._next_coverage = self._told

    def run(self) -> None:
        """Until the time is over, a sequence failed that is to end it, or Ctrl-C."""
        error, functions = "", dict[str, dict[str, int]]()
        try:
            with Entered() if self._asked.functions else contextlib.nullcontext() as entered:
                self._play_all()
            if entered:
                functions = {OF_SEQUENCES: entered.counts()}
                functions[OF_SUITES] = self._of_the_suites()
        except KeyboardInterrupt:
            error = "interrupted"
        except (KvmError, ValueError, NotTracedError) as problem:
            error = str(problem)
        self._tell("end", error, functions)

    def _of_the_suites(self) -> dict[str, int]:
        """Which functions they enter, for comparison. Raises `NotTracedError`."""
        self._watched.over()
        over = time.monotonic() + SUITES_S
        quiet = subprocess.DEVNULL
        with Entered() as entered, subprocess.Popen(_SUITES, cwd=ROOT, stdout=quiet) as suites:
            try:
                while suites.poll() is None:
                    if time.monotonic() > over:
                        raise NotTracedError(f"the suites took longer than {SUITES_S:.0f} s")
                    time.sleep(_TELL_S)
                    self._tell("suites")
            finally:
                suites.kill()
        if suites.returncode not in _JUDGED:
            raise NotTracedError(f"the suites ended with {suites.returncode}")
        return entered.counts()

    def _play_all(self) -> None:
        with System() as system:
            if self._asked.replay:
                self._replay(system, Recorded.of_json(self._asked.replay.encode()))
            else:
                self._explore(system)

    def _replay(self, system: System, recorded: Recorded) -> None:
        self._played = 1
        violation = play(system, recorded, self._watched) or self._alarm()
        if violation:
            self._found(system, Refuted(recorded, violation), 0)

    def _explore(self, system: System) -> None:
        asked = self._asked
        ends = time.monotonic() + asked.seconds
        chips = asked.irqchips or self._chips(system)
        for number in itertools.count():
            if time.monotonic() > ends:
                return
            irqchip, seed = chips[number % len(chips)], f"{asked.seed} {number}"
            found = explore_one(
                system, irqchip, operations=asked.operations, seed=seed, told=self._watched
            )
            self._played += 1
            alarm = self._alarm()
            if found and found.violation.claim not in self._known:
                self._found(system, shortest(system, found), number)
            elif alarm and ALARM not in self._known:
                recorded = under_way(self._folder / UNDER_WAY) or Recorded(Setting(irqchip), ())
                self._found(system, Refuted(recorded, alarm), number)
            if asked.until_failed and self._known:
                return
            if time.monotonic() - self._told > _TELL_S:
                self._tell("progress")

    def _chips(self, system: System) -> list[str]:
        """The interrupt controllers that this KVM has."""
        found = []
        for irqchip in arch.current().IRQCHIPS:
            with system.create_vm() as machine:
                try:
                    arch.current().prepare_vm(machine, irqchip)
                except arch.NoIrqchipError:
                    continue
            found.append(irqchip)
        return found

    def _alarm(self) -> Violation | None:
        """What the kernel has said since that it must never say."""
        said = alarms(self._log.new_records())
        return Violation(ALARM, "\n".join(["the kernel raised an alarm:", *said])) if said else None

    def _found(self, system: System, refuted: Refuted, number: int) -> None:
        self._known.add(refuted.violation.claim)
        claim = refuted.violation.claim
        calls = None if claim == ALARM else told_calls(system, refuted.recorded, claim)
        finding = FailedSequence(
            claim=refuted.violation.claim,
            sentence=str(refuted.violation),
            sequence=refuted.recorded.as_json().decode(),
            number=number,
            irqchip=refuted.recorded.setting.irqchip,
            calls=calls.as_json().decode() if calls else "",
        )
        json_lines.append(self._journal, {"event": "finding", "finding": vars(finding)})

    def _tell(
        self, event: str, error: str = "", functions: Mapping[str, Mapping[str, int]] = {}
    ) -> None:
        self._told = time.monotonic()
        entry = {"event": event, "sequences": self._played, "error": error}
        if event == "end" or self._told > self._next_coverage:
            entry["coverage"] = {**self._watched.coverage.as_json(), **functions}
            self._next_coverage = self._told + max(_COVERAGE_S, self._asked.seconds / 100)
        json_lines.append(self._journal, entry)


def main(folder: Path) -> int:
    """Does what the request says."""
    asked = Exploration.of_json((folder / REQUEST).read_bytes())
    Explorer(folder, asked).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
