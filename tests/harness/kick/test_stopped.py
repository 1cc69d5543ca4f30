# SPDX-License-Identifier: GPL-2.0-only
"""The engine's patience is its own time: a process that is stopped for long has lost no kick."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

RACE = """
import json, pathlib, sys
from tests.fakes.kick.guest import Fakes, race, short
from harness.kick.plan import Protocol

plan = short(Protocol.HANDLER_WRITES, 1_000, window_ns=0)
(found,) = race(Fakes(pathlib.Path(sys.argv[1])), "is_stopped", plan)
print(json.dumps([found.kicks, found.losses, found.rescued]))
"""


def test_a_process_that_was_stopped_has_lost_no_kick(tmp_path: Path) -> None:
    """In a process of its own, for all of it is stopped."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", RACE, str(tmp_path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, env=environment, text=True, check=True)
    assert json.loads(done.stdout) == [1_000, 0, 0]
