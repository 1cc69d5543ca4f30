# SPDX-License-Identifier: GPL-2.0-only
"""The journal: one JSON object a line, on disk before the next test starts.

Every other format is rendered from it, also after the machine was lost. So a line is written
with one write(2) and fsync'ed, and a reader takes a file that was cut at any byte. Lines:

``{"event": "session", "version": 1, "time", "environment": {...}}``
``{"event": "planned", "ids": [...], "claims": {id: claim}}``
``{"event": "start", "id", "time"}``
``{"event": "result", ...}`` with the fields of :class:`harness.reporting.results.Result`
``{"event": "collection_error", "where", "message", "time"}``
``{"event": "stopped_early", "after_s", "left_out"}`` with the number of tests that had no turn
``{"event": "end", "exit", "time"}`` with pytest's exit status
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from harness import files
from harness.plain_text import plain
from harness.reporting.results import Outcome, Result

VERSION = 1
NAME = "journal.jsonl"
#: Bytes; a run of all tests has less than a megabyte, a soak of days some more.
LIMIT = 256 * files.MEGABYTE
# RecursionError: brackets without end. OverflowError: a number that is infinite.
_NO_LINE = (ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError)


class JournalError(ValueError):
    """The file is no journal that this version can read; the text says where and why."""


def now() -> str:
    """The time of day, UTC, to the millisecond (RFC 3339)."""
    stamp = datetime.datetime.now(datetime.timezone.utc)
    return stamp.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Writer:
    """Appends to a journal. ``fresh`` begins a new one; otherwise a torn last line is cut off.

    :raises OSError: the file cannot be opened or written.
    """

    def __init__(self, path: Path, *, fresh: bool = True) -> None:
        if fresh:
            self._fd = files.create(path, mode=0o644)
        else:
            flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_APPEND | os.O_NOFOLLOW
            self._fd = os.open(path, flags, 0o644)
            _cut_torn_line(self._fd)

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Twice does no harm."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def session(self, environment: Mapping[str, str]) -> None:
        """The first line."""
        self._line("session", version=VERSION, time=now(), environment=dict(environment))

    def planned(self, claims: Mapping[str, str]) -> None:
        """What is to run: result id to claim, in order."""
        self._line("planned", ids=list(claims), claims=dict(claims))

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
        # ASCII with escapes: valid whatever bytes a guest or the kernel log put into a message.
        data = memoryview(f"{json.dumps({'event': event, **fields})}\n".encode("ascii"))
        while data:
            data = data[os.write(self._fd, data) :]
        os.fsync(self._fd)


def _cut_torn_line(fd: int) -> None:
    content = os.pread(fd, os.fstat(fd).st_size, 0)
    os.ftruncate(fd, content.rfind(b"\n") + 1)


@dataclass
class Journal:
    """What a journal says. ``exit_status`` is None where the run never came to its end.

    ``left_out``: so many tests had no turn because the time that the run was given was over.
    """

    environment: dict[str, str] = field(default_factory=dict)
    planned: dict[str, str] = field(default_factory=dict)
    started: list[str] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    collection_errors: list[tuple[str, str]] = field(default_factory=list)
    left_out: int = 0
    exit_status: int | None = None
    has_session: bool = False
    torn: bool = False

    @property
    def unfinished(self) -> list[str]:
        """Tests that began and have no result, in the order of their start."""
        done = {result.id for result in self.results}
        return [identifier for identifier in dict.fromkeys(self.started) if identifier not in done]

    @property
    def not_run(self) -> list[str]:
        """Planned tests without a result."""
        done = {result.id for result in self.results}
        return [identifier for identifier in self.planned if identifier not in done]


def read(path: Path) -> Journal:
    """Read a journal, complete or not. A last line that is torn is left out.

    A kernel under test may have written it: what a terminal would obey is left out of all texts.

    :raises JournalError: a line before the last is no JSON, or the version is a later one.
    :raises OSError: the file cannot be read, is no regular one, or is far too long.
    """
    lines = files.read_regular(path, LIMIT).split(b"\n")
    journal = Journal(torn=bool(lines[-1]))
    for number, line in enumerate(lines[:-1], start=1):
        try:
            _take(journal, _plain(json.loads(line)))
        except JournalError:
            raise
        except _NO_LINE as error:
            raise JournalError(
                f"{path}, line {number}: not a line of a journal: {error}"
            ) from error
    return journal


def _plain(value: Any) -> Any:
    """What JSON holds, with plain texts."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {plain(key): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value


def _check(values: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    for key, value in values.items():
        infinite = isinstance(value, float) and not math.isfinite(value)
        if not isinstance(value, kinds.get(key, str)) or infinite:
            raise TypeError(f"{key} is {value!r:.40}")


def _take(journal: Journal, entry: dict[str, Any]) -> None:
    event = entry.pop("event")
    if event == "session":
        if entry["version"] > VERSION:
            raise JournalError(f"the journal has version {entry['version']}, known: {VERSION}")
        _check(entry["environment"], {})
        journal.environment = dict(entry["environment"])
        journal.has_session = True
    elif event == "planned":
        _check(entry["claims"], {})
        journal.planned = dict(entry["claims"])
    elif event == "start":
        _check({"id": entry["id"]}, {})
        journal.started.append(entry["id"])
    elif event == "result":
        known = {member.name for member in dataclasses.fields(Result)}
        values = {key: value for key, value in entry.items() if key in known}
        values["duration_s"] = float(values["duration_s"])
        _check(values, {"duration_s": float, "properties": dict})
        values["outcome"] = Outcome(values["outcome"])
        journal.results.append(Result(**values))
    elif event == "collection_error":
        _check({name: entry[name] for name in ("where", "message")}, {})
        journal.collection_errors.append((entry["where"], entry["message"]))
    elif event == "stopped_early":
        journal.left_out = int(entry["left_out"])
    elif event == "end":
        journal.exit_status = int(entry["exit"])
    # An event of a later minor version is no error: the lines known here still hold.
