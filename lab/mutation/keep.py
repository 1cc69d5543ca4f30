# SPDX-License-Identifier: GPL-2.0-only
"""``lane SOURCE PLACE SECONDS``: the process that keeps a machine for mutants (tools/run_child.py).

The machine executes lab/mutation/guest.py until it is ended; `PLACE` is a folder with a share, in
which it is asked. How it was lost stands beside the share, in `lost.json`.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path

from harness import files
from lab.emulation import conformance
from lab.emulation import kernel as kernels
from lab.emulation import share as shares
from lab.emulation.arch import Foreign
from lab.emulation.console import last_lines
from lab.emulation.errors import KernelError
from lab.emulation.machine import CONSOLE, Job, Limits, Machine, run
from lab.launch import finish
from lab.launch.exit_codes import Exit
from lab.launch.lost import LostVm
from lab.launch.request import Request
from lab.launch.speaker import Speaker
from lab.launch.stopping import StoppedError, stoppable
from lab.mutation import build
from lab.mutation.source import Source

#: A kernel that breaks says so and ends, instead of hanging until the time limit. Twice the usual
#: threshold: an emulated host may be starved for seconds by others on its processors.
PARAMETERS = (
    *("softlockup_panic=1", "watchdog_thresh=20"),
    *("hung_task_panic=1", "sysctl.kernel.hung_task_timeout_secs=60"),
)
MEMORY_MB = 2048
LOST = "lost.json"


def machine(foreign: Foreign | None = None) -> Machine:
    """The machine of every mutant of an architecture."""
    return Machine(memory=f"{MEMORY_MB}M", kernel_parameters=PARAMETERS, foreign=foreign)


def keep(source_file: str, place: str, boot_limit_s: str, to: Speaker) -> int:
    """Boots a machine and lets it answer until it ends or is ended; the exit code."""
    source, folder = Source.load(Path(source_file)), Path(place)
    limits = Limits(boot_s=float(boot_limit_s), silence_s=math.inf, total_s=math.inf)
    share = shares.at(folder)
    of = machine(source.foreign)
    every = conformance.job(of, Request(variants=conformance.VARIANTS), share.path)
    words = [word for word in every.command[3:] if not word.startswith("--results")]
    command = [*every.command[:2], "lab.mutation.guest", str(share.path), *words]
    environment = {k: v for k, v in every.environment.items() if k != finish.LAST_WORDS}
    try:
        of.check_programs()
        kernel = kernels.find(source.boot, say=to.say, foreign=source.foreign)
        with stoppable():
            ended = run(
                kernel,
                of,
                Job(command, every.folder, environment, reads=(build.folder_of(source),)),
                share,
                bundle=conformance.executed(of, to),
                limits=limits,
                signs_of_life=lambda: 0.0,
                say=to.say,
            )
    except StoppedError as stopped:
        return 128 + stopped.number
    except KernelError as error:
        files.replace(folder / LOST, json.dumps({"error": f"{error}."}))
        return Exit.SUITE_ERROR
    lost = ended.lost
    if lost is None:
        lines = tuple(last_lines(folder / CONSOLE))
        lost = LostVm(f"the tests' own process ended with status {ended.status}", "", lines)
    files.replace(folder / LOST, json.dumps(asdict(lost)))
    return Exit.LOST_VM
