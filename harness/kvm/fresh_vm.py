# SPDX-License-Identifier: GPL-2.0-only
"""Immediate runs of a VM in a child process, and the calls that a lock left behind would hold.

Such a call can be ended by no signal, and neither can the process: so it is a process of its own,
and what it waits for is told by how far it came.
"""

from __future__ import annotations

import os
import select
import signal
import time
from dataclasses import dataclass

from harness.native import ffi, lib

_BYTES = ffi.sizeof("struct ke_fresh_answer")
_GONE_S = 1.0  # for a killed child to be gone
_LOOK_S = 0.01


@dataclass(frozen=True)
class FreshVm:
    """What each step gave, a value or a negative errno, by name; `hangs_in` is the one without."""

    values: dict[str, int]
    hangs_in: str = ""


def steps() -> tuple[str, ...]:
    """What the child does, in order."""
    names: list[str] = []
    while lib.ke_fresh_steps[len(names)]:
        names.append(ffi.string(lib.ke_fresh_steps[len(names)]).decode())
    return tuple(names)


def run_in_fresh_vm(runs: int, patience_s: float) -> FreshVm:
    """A VM is made, run so often with the byte set, changed and closed, in a child process.

    A step that takes longer than `patience_s` hangs. Raises OSError where there is no child, and
    for a child that was ended from outside.
    """
    names = steps()
    values: dict[str, int] = {}
    reader, writer = os.pipe()
    try:
        try:
            child = int(lib.ke_fresh_vm(runs, writer))
        finally:
            os.close(writer)
        if child < 0:
            raise OSError(-child, f"fork failed: {os.strerror(-child)}")
        try:
            while len(values) < len(names):
                if not select.select([reader], [], [], patience_s)[0]:
                    return FreshVm(values, names[len(values)])
                raw = os.read(reader, _BYTES)
                if len(raw) < _BYTES:
                    raise OSError(f"the process with a VM ended in {names[len(values)]}")
                answer = ffi.from_buffer("struct ke_fresh_answer *", raw)
                values[names[answer.step]] = int(answer.value)
            return FreshVm(values)
        finally:
            _end(child)
    finally:
        os.close(reader)


def _end(child: int) -> None:
    """Kills it, and waits for its end; one that waits uninterruptibly is left behind."""
    os.kill(child, signal.SIGKILL)
    for _ in range(int(_GONE_S / _LOOK_S)):
        if os.waitpid(child, os.WNOHANG)[0]:
            return
        time.sleep(_LOOK_S)
