# SPDX-License-Identifier: GPL-2.0-only
"""What an exploration leaves in its folder, and how that is read: a machine may have written it.

request.json      what is asked for (`Exploration`)
explored.jsonl    its journal: a line for each finding, each second how far it is, now and then
                  what was reached, the end
under-way.jsonl   the sequence under way: its VM, then a line for each operation before it is done
sequence-N.json   one that failed, and what it broke
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from harness import files, json_lines
from harness.model.answers import ModelVcpu
from harness.sequences.sequence import Done, Listener, Recorded
from harness.sequences.setting import Setting
from harness.shapes import ShapeError, from_json

REQUEST, JOURNAL, UNDER_WAY = "request.json", "explored.jsonl", "under-way.jsonl"
SEQUENCES = "sequence-*.json"
_MOST = 64 * files.MEGABYTE


@dataclass(frozen=True)
class Exploration:
    """What is asked for: sequences of so many `operations` for so many `seconds`, drawn by `seed`.

    `until_failed`: the first that fails ends it. `replay`: only this sequence is played, once.
    `functions`: those of KVM's modules that are entered count, too, and then those that the suites
    enter.
    """

    seed: int = 0
    seconds: float = 60.0
    operations: int = 25
    irqchips: Sequence[str] = ()
    until_failed: bool = False
    replay: str = ""
    functions: bool = False

    def as_json(self) -> str:
        """What `of_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str | bytes) -> Exploration:
        """Raises `ShapeError`."""
        return from_json(text, cls)


@dataclass(frozen=True)
class FailedSequence:
    """A sequence that broke a claim, as short as it became: `seed` and irqchip name the first.

    `calls` is what it asked of KVM, where that is known.
    """

    claim: str
    sentence: str
    sequence: str
    number: int = 0
    irqchip: str = ""
    calls: str = ""


@dataclass(frozen=True)
class KeptSequence:
    """What a file with a sequence says besides: what it broke, on which kernel, by which calls."""

    claim: str = ""
    sentence: str = ""
    kernel: str = ""
    calls: str = ""


def clear(folder: Path) -> None:
    """Nothing of an earlier exploration is left there."""
    for each in (REQUEST, JOURNAL, UNDER_WAY):
        (folder / each).unlink(missing_ok=True)
    for kept in folder.glob(SEQUENCES):
        kept.unlink()


def keep(failed: FailedSequence, kernel: str, path: Path) -> None:
    """Writes a sequence as a file that can be played again, and of which a C program is made."""
    said = {"claim": failed.claim, "sentence": failed.sentence, "kernel": kernel}
    calls = {"calls": failed.calls} if failed.calls else {}
    whole = {**said, **json.loads(failed.sequence), **calls}
    path.write_text(f"{json.dumps(whole)}\n", encoding="ascii")


@dataclass(frozen=True)
class Explored:
    """What a journal says. `ended`: the program came to its end; `in_suites`: it runs them."""

    findings: Sequence[FailedSequence] = ()
    sequences: int = 0
    coverage: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    ended: bool = False
    error: str = ""
    in_suites: bool = False


@dataclass(frozen=True)
class _Line:
    event: str
    finding: FailedSequence | None = None
    sequences: int = 0
    coverage: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    error: str = ""


def read(path: Path) -> Explored:
    """What there is of a journal; of a damaged line on, nothing. Raises OSError."""
    findings: list[FailedSequence] = []
    found = Explored()
    try:
        for entry in json_lines.read(path, ShapeError, _MOST):
            line = from_json(json.dumps(entry), _Line)
            if line.finding:
                findings.append(line.finding)
                continue
            found = Explored(
                (),
                line.sequences,
                line.coverage or found.coverage,
                ended=line.event == "end",
                error=line.error,
                in_suites=line.event == "suites",
            )
    except FileNotFoundError:
        pass
    except ShapeError:
        found = Explored((), found.sequences, found.coverage)
    return replace(found, findings=findings)


def under_way(path: Path, *, elsewhere: bool = False) -> Recorded | None:
    """The sequence that was under way; None if there is none that could be played.

    `elsewhere`: on another architecture.
    """
    try:
        first, *rest = json_lines.read(path, ShapeError, _MOST)
        text = json.dumps({"setting": first, "done": rest}).encode()
        return Recorded.of_elsewhere(text) if elsewhere else Recorded.of_json(text)
    except (OSError, ValueError):
        return None


class UnderWay(Listener):
    """Writes the sequence under way down: each operation is on the disk before it is done."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def begins(self, setting: Setting) -> None:
        """Nothing is left of the one before."""
        os.ftruncate(self._fd, 0)
        self._line({"irqchip": setting.irqchip, "features": list(setting.features)})

    def does(self, done: Done, model: ModelVcpu) -> None:
        """A line for it."""
        self._line({"operation": done.operation, "arguments": dict(done.arguments)})

    def close(self) -> None:
        """Closes the file."""
        os.close(self._fd)

    def _line(self, entry: Mapping[str, Any]) -> None:
        json_lines.append(self._fd, entry)
