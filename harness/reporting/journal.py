# SPDX-License-Identifier: GPL-2.0-only
"""The journal: a line a test (harness/json_lines.py), on disk before the next test starts.

Every other format is rendered from it, also after the machine was lost. Lines:

``{"event": "session", "version": 1, "run", "time", "environment": {...}}`` with the run's id
``{"event": "planned", "ids": [...], "claims": {id: claim}, "not_chosen": {id: claim},
"not_found": [claim, ...]}`` with what the claims of the run have besides the plan
``{"event": "start", "id", "time"}``
``{"event": "result", ...}`` with the fields of :class:`harness.reporting.results.Result`
``{"event": "collection_error", "where", "message", "time"}``
``{"event": "stopped_early", "after_s", "left_out"}`` with the number of tests that had no turn
``{"event": "end", "exit", "time"}`` with pytest's exit status

A journal in which two lines contradict each other is refused as a whole: who reads a verdict from
it could be told anything.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import files, json_lines
from harness.closing import Closing
from harness.reporting.results import Result
from harness.reporting.selection import Rest
from harness.shapes import ShapeError, shaped

VERSION = 1
NAME = "journal.jsonl"
#: Bytes; a run of all tests has less than a megabyte, a soak of days some more.
LIMIT = 256 * files.MEGABYTE


class JournalError(ValueError):
    """The file is no journal that this version can read; the text says where and why."""


def new_run() -> str:
    """An id that no other run has: it tells this run's journal from another's."""
    return uuid.uuid4().hex


def now() -> str:
    """The time of day, UTC, to the millisecond (RFC 3339)."""
    stamp = datetime.datetime.now(datetime.timezone.utc)
    return stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Writer(Closing):
    """Appends to a journal. ``fresh`` begins a new one; otherwise a torn last line is cut off.

    ``full`` is called when the first line cannot be written, and there are none after it: they
    would follow half a line. Without it the error itself is raised.

    :raises OSError: the file cannot be opened or written.
    """

    def __init__(
        self,
        path: Path,
        *,
        fresh: bool = True,
        full: Callable[[OSError], None] | None = None,
    ) -> None:
        self._full = full
        self._is_full = False
        if fresh:
            self._fd = files.create(path, mode=0o644)
        else:
            flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_APPEND | os.O_NOFOLLOW
            self._fd = os.open(path, flags, 0o644)
            _cut_torn_line(self._fd)

    def close(self) -> None:
        """Close the file. Twice does no harm."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def session(self, environment: Mapping[str, str], run: str = "") -> None:
        """The first line."""
        self._line("session", version=VERSION, run=run, time=now(), environment=dict(environment))

    def planned(self, claims: Mapping[str, str], rest: Rest = Rest()) -> None:  # noqa: B008 - frozen
        """What is to run: result id to claim, in order; and the rest of these claims."""
        self._line("planned", ids=list(claims), claims=dict(claims), **dataclasses.asdict(rest))

    def start(self, identifier: str) -> None:
        """A test begins."""
        self._line("start", id=identifier, time=now())

    def result(self, result: Result) -> None:
        """A test is through."""
        self._line("result", **dataclasses.asdict(result))

    def collection_error(self, where: str, message: str) -> None:
        """A file of the suites could not be read or breaks their rules."""
        self._line("collection_error", where=where, message=message, time=now())

    def stopped_early(self, after_s: float, left_out: int) -> None:
        """The time that was given is over, and tests were left out."""
        self._line("stopped_early", after_s=after_s, left_out=left_out)

    def end(self, status: int) -> None:
        """The last line."""
        self._line("end", exit=status, time=now())

    def _line(self, event: str, **fields: Any) -> None:
        if self._is_full:
            return
        try:
            json_lines.append(self._fd, {"event": event, **fields})
        except OSError as error:
            if self._full is None:
                raise
            self._is_full = True
            self._full(error)


def _cut_torn_line(fd: int) -> None:
    content = os.pread(fd, os.fstat(fd).st_size, 0)
    os.ftruncate(fd, content.rfind(b"\n") + 1)


@dataclass
class Journal:
    """What a journal says. ``exit_status`` is None where the run never came to its end.

    ``started`` are tests that began, with the time.
    ``left_out``: so many tests had no turn because the time that the run was given was over.
    """

    environment: dict[str, str] = field(default_factory=dict)
    planned: dict[str, str] = field(default_factory=dict)
    rest: Rest = field(default_factory=Rest)
    started: dict[str, str] = field(default_factory=dict)
    results: list[Result] = field(default_factory=list)
    collection_errors: list[tuple[str, str]] = field(default_factory=list)
    left_out: int = 0
    exit_status: int | None = None
    has_session: bool = False
    run: str = ""

    @property
    def unfinished(self) -> list[str]:
        """Tests that began and have no result, in the order of their start."""
        done = {result.id for result in self.results}
        return [identifier for identifier in self.started if identifier not in done]

    @property
    def not_run(self) -> list[str]:
        """Planned tests without a result."""
        done = {result.id for result in self.results}
        return [identifier for identifier in self.planned if identifier not in done]

    @property
    def accuses(self) -> bool:
        """Whether a result speaks against the kernel."""
        return any(result.outcome.against_kernel for result in self.results)


def read(path: Path) -> Journal:
    """Read a journal, complete or not. A last line that is torn is left out.

    A kernel under test may have written it: what a terminal would obey is left out of all texts.

    :raises JournalError: a line before the last is none of a journal, or contradicts those before
        it, or the version is a later one.
    :raises OSError: the file cannot be read, is no regular one, or is far too long.
    """
    journal = Journal()
    done: set[str] = set()
    for number, entry in enumerate(json_lines.read(path, JournalError, LIMIT), start=1):
        try:
            _take(journal, entry, done)
        except (JournalError, ShapeError) as error:
            raise JournalError(f"{path}, line {number}: {error}") from error
    return journal


@dataclass
class _Session:
    version: int
    environment: dict[str, str]
    run: str = ""


@dataclass
class _Planned:
    ids: list[str]
    claims: dict[str, str]
    not_chosen: dict[str, str] = field(default_factory=dict)
    not_found: list[str] = field(default_factory=list)


@dataclass
class _Start:
    id: str
    time: str = ""


@dataclass
class _CollectionError:
    where: str
    message: str


def _take(journal: Journal, entry: dict[str, Any], done: set[str]) -> None:
    """Add one line; ``done`` are the tests with a result so far."""
    event = entry.get("event")
    if journal.exit_status is not None:
        raise JournalError(f"{event!r} after the journal's end")
    if event == "session":
        if journal.has_session:
            raise JournalError("a second session: two runs wrote this journal")
        session = shaped(entry, _Session, others=True)
        if session.version > VERSION:
            raise JournalError(f"the journal has version {session.version}, known: {VERSION}")
        journal.environment, journal.run = session.environment, session.run
        journal.has_session = True
    elif event == "planned":
        if journal.planned or journal.results:
            raise JournalError("a plan that comes late, or a second time")
        plan = shaped(entry, _Planned, others=True)
        if list(plan.claims) != plan.ids:
            raise JournalError("a plan whose tests are not those whose claims it tells")
        journal.planned, journal.rest = plan.claims, Rest(plan.not_chosen, plan.not_found)
    elif event == "start":
        start = shaped(entry, _Start, others=True)
        journal.started[start.id] = start.time
    elif event == "result":
        result = shaped(entry, Result, others=True)
        if result.id in done:
            raise JournalError(f"a second result of {result.id}")
        if journal.planned and journal.planned.get(result.id) != result.claim:
            raise JournalError(
                f"a result of {result.id} for {result.claim!r}, which nobody planned"
            )
        if not 0 <= result.duration_s < math.inf:
            raise JournalError(f"a test that took {result.duration_s} s")
        done.add(result.id)
        journal.results.append(result)
    elif event == "collection_error":
        wrong = shaped(entry, _CollectionError, others=True)
        journal.collection_errors.append((wrong.where, wrong.message))
    elif event == "stopped_early":
        journal.left_out = shaped(entry.get("left_out"), int)
    elif event == "end":
        journal.exit_status = shaped(entry.get("exit"), int)
    elif event is None:
        raise JournalError("not a line of a journal: it has no 'event'")
    # An event of a later minor version is no error: the lines known here still hold.
