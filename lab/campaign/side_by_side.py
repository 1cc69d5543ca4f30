# SPDX-License-Identifier: GPL-2.0-only
"""Many runs: prepared one after the other, and tested side by side.

Each in a process of its own (lab/campaign/child.py).
"""

from __future__ import annotations

import contextlib
import enum
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from harness import files
from harness.reporting import journal as journals
from harness.shapes import ShapeError, from_json
from lab.campaign import state
from lab.campaign.attempt import Attempt
from lab.campaign.child import Process
from lab.launch import finish, process_group
from lab.launch.exit_codes import Exit
from lab.launch.stopping import Stop

TICK_S = 0.2
MACHINE_SPARE_MB = 512  # QEMU's own, beside the memory of its machine
_FOUND = "found.json"
PREPARED = "prepare.txt"  # what the process that prepares a run says


class Stage(enum.Enum):
    """How far a run is. ABSENT: it cannot be had. KEPT: an earlier result stands."""

    WAITING = "waiting"
    PREPARING = "preparing"
    READY = "waiting for its turn"
    RUNNING = "running"
    ENDED = "ended"
    KEPT = "kept"
    ABSENT = "not available"
    STOPPED = "interrupted"


#: Stages after which nothing more comes.
OVER = (Stage.ENDED, Stage.KEPT, Stage.ABSENT, Stage.STOPPED)


_VERDICTS = (Exit.HELD, Exit.FAILED, Exit.NOTHING_TESTED)
_ENDINGS: dict[int, str] = {
    Exit.HELD: "held",
    Exit.FAILED: "failed",
    Exit.LOST_VM: "lost",
    Exit.NOTHING_TESTED: "nothing could be tested",
}


@dataclass
class Task:
    """A run: one process prepares it, and a second one tests. A subclass says which they are.

    Both are the `program` that `run_all` was told, with words of the subclass.

    Its results stand in `folder`; `asked` is what decides about them, beside what is tested.
    `found` is what preparing told: at least `release`, `name` and `digest`. `code`, `why` and
    `seconds` are set when it is over; `limit_s` bounds the test, which was begun `attempts` times.
    """

    folder: Path
    asked: Mapping[str, Any]
    stage: Stage = Stage.WAITING
    found: Mapping[str, str] = field(default_factory=dict)
    code: int | None = None
    why: str = ""
    seconds: float = 0.0
    started: str = ""
    limit_s: float | None = None
    attempts: int = 0
    program: Sequence[str] = ()
    attempt: Attempt | None = field(default=None, repr=False)
    since: float = 0.0

    @property
    def name(self) -> str:
        """What people call it."""
        raise NotImplementedError

    @property
    def preparing(self) -> Sequence[str]:
        """The words for the process that prepares it."""
        raise NotImplementedError

    @property
    def starting(self) -> str:
        """What it does before its first test, in a few words."""
        return f"booting {self.title}"

    @property
    def testing(self) -> Sequence[str]:
        """The words for the process that tests it."""
        raise NotImplementedError

    def begin(self) -> Attempt:
        """Begins to test it; its words go to output.txt in its folder."""
        with (self.folder / state.OUTPUT).open("wb") as output:
            words = [*self.program, *self.testing]
            return Process(words, output.fileno(), output.fileno())

    @property
    def ending(self) -> str:
        """What came of it, in a few words, when it is over."""
        if self.stage not in (Stage.ENDED, Stage.KEPT):
            return str(self.stage.value)
        known = _ENDINGS.get(self.code) if self.code is not None else None
        return known or "no verdict"

    @property
    def reason(self) -> str:
        """A sentence on what came of it, or an empty text."""
        return self.why

    def is_complete(self) -> bool:
        """Whether the test that has ended came to a verdict, so that it need not be repeated."""
        if self.code not in _VERDICTS:
            return False
        try:
            return journals.read(self.folder / finish.JOURNAL).exit_status is not None
        except (OSError, journals.JournalError):
            return False

    def wants_another(self) -> bool:
        """Whether the test that has ended is to be done again at once: it said nothing."""
        return False

    @property
    def release(self) -> str:
        """The kernel's release, once it is known."""
        return self.found.get("release", "")

    @property
    def title(self) -> str:
        """The kernel for people, once it is known."""
        return self.found.get("name", "")

    @property
    def digest(self) -> str:
        """Of what is tested, once it is known."""
        return self.found.get("digest", "")

    @property
    def age_s(self) -> float:
        """Seconds since its present process began, or that it took."""
        return time.monotonic() - self.since if self.attempt else self.seconds


def most_at_once(megabytes: int) -> int:
    """How many machines of this size the host carries. Each runs on one processor."""
    fitting = available_megabytes() // (megabytes + MACHINE_SPARE_MB)
    return max(1, min(len(os.sched_getaffinity(0)), fitting))


def available_megabytes() -> int:
    """Memory that can be had without swapping, as the kernel estimates it (proc_meminfo(5))."""
    return psutil.virtual_memory().available // files.MEGABYTE


def run_all(
    runs: Sequence[Task],
    *,
    program: Sequence[str],
    parallel: int,
    fresh: bool,
    stop: Stop,
    show: Callable[[], None],
) -> None:
    """Runs what is to be run, until all are over or a signal came.

    `program` is that of the processes (lab/campaign/child.py), `fresh` repeats what would stand,
    `show` is called now and then.
    Nothing that was started is left, whatever is raised: OSError where a folder cannot be written.
    """
    for run in runs:
        run.program = program
    try:
        while stop.first is None and any(run.stage not in OVER for run in runs):
            _look(runs, fresh, stop)
            busy = sum(run.stage is Stage.RUNNING for run in runs)
            for run in [run for run in runs if run.stage is Stage.READY][: parallel - busy]:
                _test(run)
            if not any(run.stage is Stage.PREPARING for run in runs):
                waiting = next((run for run in runs if run.stage is Stage.WAITING), None)
                if waiting:
                    _prepare(waiting)
            show()
            time.sleep(TICK_S)
    finally:
        _end([run for run in runs if run.attempt], stop)
        for run in runs:
            if run.stage not in OVER:
                _take_back(run)
        show()


def _prepare(run: Task) -> None:
    run.folder.mkdir(parents=True, exist_ok=True)
    with (run.folder / _FOUND).open("wb") as found, (run.folder / PREPARED).open("wb") as told:
        words = [*run.program, *run.preparing]
        run.attempt = Process(words, found.fileno(), told.fileno())
    run.since = time.monotonic()
    run.stage = Stage.PREPARING


def _test(run: Task) -> None:
    state.forget(run.folder)
    for name in finish.FILES:  # what is shown meanwhile is not the last run's
        (run.folder / name).unlink(missing_ok=True)
    run.attempt = run.begin()
    run.since = time.monotonic()
    run.started = journals.now()
    run.attempts += 1
    run.stage = Stage.RUNNING


def _look(runs: Sequence[Task], fresh: bool, stop: Stop) -> None:
    """Takes what has ended, and ends what takes too long."""
    for run in runs:
        if run.attempt is None:
            continue
        late = run.stage is Stage.RUNNING and run.limit_s is not None and run.age_s > run.limit_s
        if late and run.attempt.look() is None:
            _end([run], stop)
        code = run.attempt.look()
        if code is None:
            continue
        run.seconds, run.attempt = run.age_s, None
        if run.stage is Stage.PREPARING:
            _found(run, code, fresh)
        else:
            _ended(run, code, f"it was ended at its limit of {run.limit_s:.0f} s" if late else "")


def _found(run: Task, code: int, fresh: bool) -> None:
    told: dict[str, str] = {}
    with contextlib.suppress(OSError, ShapeError):
        told = from_json((run.folder / _FOUND).read_bytes(), dict[str, str])
    (run.folder / _FOUND).unlink(missing_ok=True)
    if code != Exit.HELD or not {"release", "name", "digest"} <= set(told):
        run.stage, run.code = Stage.ABSENT, Exit.SUITE_ERROR
        run.found = told
        why = told.get("error") or f"it could not be prepared, see {run.folder / PREPARED}"
        run.why = why.removeprefix(f"{run.name}: ")
        state.forget(run.folder)
        return
    run.found = told
    known = None if fresh else state.read(run.folder)
    if known and known.stands(run.asked, run.digest):
        run.stage, run.code, run.why = Stage.KEPT, known.code, known.why
        run.seconds, run.started = known.seconds, known.started
    else:
        run.stage = Stage.READY


def _ended(run: Task, code: int, why: str) -> None:
    run.stage, run.code, run.why = Stage.ENDED, code, why or state.why(run.folder, code)
    if run.wants_another():
        run.stage = Stage.READY
        return
    state.write(
        run.folder,
        state.TaskRecord(
            asked=run.asked,
            suites=state.suites_version(),
            release=run.release,
            title=run.title,
            digest=run.digest,
            code=code,
            why=run.why,
            ended=run.is_complete(),
            seconds=round(run.seconds, 1),
            started=run.started,
        ),
    )


def _take_back(run: Task) -> None:
    """What was not brought to its end. Its results, as far as they go, are kept."""
    run.seconds = run.age_s if run.stage is Stage.RUNNING else 0.0
    run.stage, run.attempt = Stage.STOPPED, None
    run.why = "interrupted before its run had ended"


def _end(runs: Sequence[Task], stop: Stop) -> None:
    """Ends processes: in order by SIGINT, then their groups by SIGTERM and SIGKILL."""
    attempts = [run.attempt for run in runs if run.attempt]
    for attempt in attempts:
        attempt.interrupt()

    def wait(seconds: float, until: Callable[[], bool]) -> None:
        end = time.monotonic() + seconds
        while (
            time.monotonic() < end
            and not all(attempt.is_gone() for attempt in attempts)
            and not until()
        ):
            time.sleep(0.05)

    interrupts = stop.interrupts
    wait(process_group.ORDERLY_S, lambda: stop.interrupts > interrupts)
    for number, seconds in (
        (signal.SIGTERM, process_group.TERMINATE_S),
        (signal.SIGKILL, process_group.KILL_S),
    ):
        for attempt in attempts:
            if not attempt.is_gone():
                attempt.kill(number)
        wait(seconds, lambda: False)
