# SPDX-License-Identifier: GPL-2.0-only
"""What is remembered of each run, so that a matrix or a mutation that was interrupted goes on.

Beside a run's results stands ``kernel.json``, written when its run has ended. The run is not
repeated while everything in it that decides about the results is still the same.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from harness import files
from harness.shapes import ShapeError, from_json, shaped
from lab.launch.request import ROOT

NAME = "kernel.json"
OUTPUT = "output.txt"
#: What decides about results: what a test stands on. The sweep is a test of its own.
_SUITES = ("conftest.py", "pytest.ini", "guest_blobs", "harness", "suites", "lab/sweep")


_T = TypeVar("_T")


@dataclass(frozen=True)
class TaskRecord:
    """A run that has ended.

    asked      what it was asked for, machine and choice of tests
    suites     `suites_version` of it
    release    the kernel's, `title` its name for people, `digest` that of its image and modules
    code       the exit code, `why` a sentence about it or an empty text
    ended      whether it came to its end with a verdict
    started    UTC, RFC 3339
    """

    asked: Mapping[str, Any]
    suites: str
    release: str
    title: str
    digest: str
    code: int
    why: str
    ended: bool
    seconds: float
    started: str

    def stands(self, asked: Mapping[str, Any], digest: str) -> bool:
        """Whether a run with this request and kernel would be the same again.

        Runs that were lost or that the suite broke off are not: the cause may be gone.
        """
        same = (self.asked, self.suites, self.digest) == (asked, suites_version(), digest)
        return same and self.ended


@dataclass(frozen=True)
class _Told:
    kernels: list[dict[str, Any]]


def told_kernels(file: Path, shape: type[_T]) -> list[_T]:
    """The kernels of a campaign's JSON, as far as `shape` has their keys.

    Raises `ShapeError` and OSError.
    """
    told = from_json(files.read_regular(file), _Told, others=True)
    return [shaped(each, shape, others=True) for each in told.kernels]


@functools.cache
def suites_version() -> str:
    """A digest of the files that decide about results. It needs no git, and sees every change."""
    digest = hashlib.sha256()
    for name in _SUITES:
        top = ROOT / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if "__pycache__" in path.parts:
                continue
            if path.is_file():
                digest.update(f"{path.relative_to(ROOT)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def read(folder: Path) -> TaskRecord | None:
    """The record, or None where there is none or none that this version wrote."""
    try:
        return from_json((folder / NAME).read_bytes(), TaskRecord)
    except (OSError, ShapeError):
        return None


def write(folder: Path, record: TaskRecord) -> None:
    """Writes the record, whole or not at all. Raises OSError."""
    files.replace(folder / NAME, json.dumps(asdict(record), indent=2) + "\n")


def forget(folder: Path) -> None:
    """Removes the record: the results are about to change. Raises OSError."""
    (folder / NAME).unlink(missing_ok=True)


def why(folder: Path, code: int) -> str:
    """The sentence in which the run's own output says how it ended; mostly empty."""
    if code < 0:
        return f"the process that ran it was ended by signal {-code}"
    try:
        lines = (folder / OUTPUT).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    # `emulate` tells the loss of a machine above the console's last lines.
    for number, line in enumerate(lines):
        if line.startswith("The console's last lines:") and number:
            return lines[number - 1].strip()
    errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    return errors[-1].strip() if errors else ""
