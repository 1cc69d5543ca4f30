# SPDX-License-Identifier: GPL-2.0-only
"""A mutant on its way through a machine that judges many (lab/mutation/lanes.py).

What is asked in the folder of a machine, and how it is answered, tells lab/mutation/guest.py. A
machine is given up, and the next mutant gets a fresh one, as soon as anything is odd: its kernel
complained, KVM could not be removed, or pytest ended otherwise than by a verdict.
"""

from __future__ import annotations

import dataclasses
import json
import math
import signal
import time
import traceback
from pathlib import Path

from harness.kernel_texts import complains
from harness.plain_text import line, plain
from harness.reporting import journal as journals
from harness.shapes import ShapeError, shaped
from lab.campaign import state
from lab.emulation import conformance
from lab.emulation.console import last_lines
from lab.emulation.errors import KernelError
from lab.emulation.machine import CONSOLE, Limits
from lab.emulation.share import Mirror
from lab.launch import finish
from lab.launch.exit_codes import Exit
from lab.launch.lost import LostVm
from lab.launch.request import Request
from lab.launch.speaker import Written
from lab.mutation import proving
from lab.mutation.guest import LaneAnswer, answer_file, request_file, stop_file
from lab.mutation.judge import STAYS, evidence_in
from lab.mutation.lane import Lane

SILENCE_S = Limits.silence_s
STOP_S = 40.0  # for a machine that is asked to end tests: a starved one answers late
MOST_SERVED = 25  # a machine that leaks what nobody sees does not get old
_VERDICTS = (0, 1, 5)  # pytest's exit codes: all passed, some failed, none was chosen
_ALL_LINES = 100_000
_OF_PROOFS = (proving.SOURCE, proving.RECORD)


class Asked:
    """An `Attempt`, of which the processes are those of its machine.

    `had_predecessors`: the machine judged others before. `odd`, at its end: the machine is not as
    it was, for whatever reason, and what it said of a mutant that had predecessors is in doubt.
    """

    def __init__(
        self,
        lane: Lane,
        folder: Path,
        modules: str,
        request: Request,
        limit_s: float,
        *,
        stock: str = "",
    ) -> None:
        """With the `stock` KVM's modules the first failure becomes a C program (proving.py)."""
        self._code: int | None = None
        self.had_predecessors = lane.served > 0
        self.odd = False
        self._lane = lane
        self._folder = folder
        self._number = lane.served
        self._limit_s = limit_s
        self._began = time.monotonic()
        self._sign = (-1, self._began)
        self._stopped = (-math.inf, "")  # when its tests were told to end, and why
        # On the kernel's console from the moment on at which the mutant is loaded.
        self._marker = f"mutate: {self._number} {folder.name}"
        self._share = lane.share.folder(folder.name)
        job = conformance.job(lane.machine, request, self._share.path)
        asked = {
            "modules": self._seen(modules),
            "words": job.command[3:],
            "environment": dict(job.environment),
            "output": str(self._share.path / state.OUTPUT),
            "marker": self._marker,
            "results": str(self._share.path),
            "stock": self._seen(stock),
        }
        lane.busy = True
        lane.served += 1
        for name in (CONSOLE, *finish.FILES, *_OF_PROOFS):  # no evidence of an earlier attempt
            (folder / name).unlink(missing_ok=True)
        (folder / state.OUTPUT).write_bytes(b"")
        self._journal = Mirror(self._share, finish.JOURNAL, folder / finish.JOURNAL)
        lane.share.write(request_file(self._number), json.dumps(asked))

    def _seen(self, modules: str) -> str:
        """A folder of modules as the machine sees it: elsewhere it has its share only."""
        if not (modules and self._lane.machine.foreign):
            return modules
        with self._share.folder(Path(modules).name) as copy:
            for path in Path(modules).glob("*.ko"):
                copy.write(path.name, path.read_bytes())
            return str(copy.path)

    def interrupt(self) -> None:
        """Asks the machine to end in order."""
        self._lane.child.interrupt()

    def kill(self, number: signal.Signals) -> None:
        """Sends this signal to all processes of the machine."""
        self._lane.child.kill(number)

    def is_gone(self) -> bool:
        """Whether it has ended, and its machine with all processes."""
        return self.look() is not None and self._lane.child.is_gone()

    def look(self) -> int | None:
        """The exit code that `emulate` would give; None while the tests go on."""
        if self._code is not None:
            return self._code
        self._journal.more()
        why = self._too_long()
        answer = self._lane.share.load(answer_file(self._number))
        if answer is not None:
            self._answered(_shaped(answer))
        elif self._lane.child.look() is not None:
            try:
                self._lost(self._lane.lost())
            except KernelError as error:
                self._refused(str(error))
        elif why and self._journal.size and not self._stopped[1]:
            self._stopped = (time.monotonic(), why)
            self._lane.share.write(stop_file(self._number), "")
        elif why and time.monotonic() > self._stopped[0] + STOP_S:
            lost = self._lane.given_up(self._stopped[1] or why)
            self._lane.end()
            self._lost(lost)
        return self._code

    def _too_long(self) -> str:
        """Why the machine is given up, or an empty text."""
        now = time.monotonic()
        size = self._journal.size or -1
        if size != self._sign[0]:
            self._sign = (size, now)
        boots = self._sign[0] < 0 and not self.had_predecessors
        silence_s = SILENCE_S + (self._lane.boot_limit_s if boots else 0)
        if now - self._began > self._limit_s:
            return f"the machine was ended at its time limit of {self._limit_s:.0f} s"
        if now - self._sign[1] > silence_s:
            return f"the machine hung: no sign of life for {silence_s:.0f} s"
        return ""

    def _answered(self, answer: LaneAnswer) -> None:
        lines = self._take_console()
        status = -signal.SIGKILL if answer.status is None else answer.status
        self.odd = bool(
            answer.left or status not in _VERDICTS or any(complains(line) for line in lines)
        )
        if answer.refused:
            self._refused(f"it does not load the KVM in its folder: {line(answer.refused)}")
        elif self._stopped[1]:
            self._lost(self._lane.given_up(self._stopped[1]))
        else:
            self._end(status, None)
        if answer.left:
            with (self._folder / state.OUTPUT).open("a", encoding="utf-8") as text:
                text.write(f"{STAYS}{line(answer.left)}\n")
        if self.odd or self._lane.served >= MOST_SERVED:
            self._lane.end()

    def _lost(self, lost: LostVm) -> None:
        """What the machine said before this mutant was loaded is none of its evidence."""
        self.odd = True
        lines = self._take_console()
        self._journal.more()
        ended = self._ended_with()
        if ended is not None:  # the tests had come to their end: it was lost while it was cleaned
            self._end(ended, None)
            return
        said = evidence_in(lines)
        self._end(-signal.SIGKILL, dataclasses.replace(lost, panic=said, booted=bool(lines)))

    def _ended_with(self) -> int | None:
        try:
            return journals.read(self._folder / finish.JOURNAL).exit_status
        except (OSError, journals.JournalError):
            return None

    def _end(self, status: int, lost: LostVm | None) -> None:
        """Completes the results, as `emulate` does."""
        self._take_results()
        with (self._folder / state.OUTPUT).open(
            "a", encoding="utf-8", errors="backslashreplace"
        ) as text:
            to = Written(text)
            try:
                self._code = finish.finish(
                    self._folder,
                    to,
                    status=status,
                    stopped_by=None,
                    require_kvm=False,
                    narrowed=True,
                    lost=lost,
                )
                if lost:
                    lost.show_console(to)
            except Exception:  # a defect of ours must not end all other runs
                traceback.print_exc(file=text)
                self._code = Exit.SUITE_ERROR
        self._lane.busy = False

    def _take_results(self) -> None:
        conformance.take_results(self._share, self._journal, self._folder)
        for name in _OF_PROOFS:
            self._share.take(name, self._folder / name)
        said = plain(self._share.text(state.OUTPUT))
        (self._folder / state.OUTPUT).write_text(said, encoding="utf-8")
        self._share.close()

    def _refused(self, why: str) -> None:
        self.odd = True
        self._share.close()
        with (self._folder / state.OUTPUT).open("a", encoding="utf-8") as text:
            text.write(f"Error: {why}\n")
        self._code = Exit.SUITE_ERROR
        self._lane.busy = False

    def _take_console(self) -> list[str]:
        """The console's lines since the mutant was loaded, which it gets; none if it never was."""
        try:
            everything = (self._lane.place / CONSOLE).read_bytes()
        except OSError:
            return []
        _, marker, since = everything.rpartition(self._marker.encode())
        if not marker:
            return []
        (self._folder / CONSOLE).write_bytes(marker + since)
        return last_lines(self._folder / CONSOLE, _ALL_LINES)


def _shaped(answer: object) -> LaneAnswer:
    """The kernel under test may have written it: an answer of another shape is none."""
    try:
        return shaped(answer, LaneAnswer, others=True)
    except ShapeError:
        return LaneAnswer()
