# SPDX-License-Identifier: GPL-2.0-only
"""The suites on this host: pytest as a child in a process group of its own.

The exit code comes from the journal, not from pytest: a run that was killed, crashed or skipped
everything has a code of its own.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

from harness.reporting.asserting import OPTIMIZED
from harness.reporting.identity import SUITES
from harness.reporting.journal import new_run
from lab import set_up
from lab.launch import finish, output_folder, process_group
from lab.launch import request as requests
from lab.launch.exit_codes import Exit, untold
from lab.launch.kernel_log import Copy
from lab.launch.request import ROOT, Request
from lab.launch.signs import RunSigns
from lab.launch.speaker import Speaker


def launch(request: Request, to: Speaker, *, narrowed: bool, root: Path = ROOT) -> int:
    """Run the suites below ``root``, and complete the folder of results; the exit code.

    ``narrowed``: the verdict keeps silent on what was not chosen.
    """
    if sys.flags.optimize:
        return to.refuse(OPTIMIZED, Exit.USAGE)
    try:
        with output_folder.held(request.output) as output:
            asked = dataclasses.replace(request, run=new_run())
            return _launch(asked, to, narrowed, root, output)
    except output_folder.ResultsError as error:
        return to.refuse(str(error), Exit.CANNOT_WRITE)


def _launch(request: Request, to: Speaker, narrowed: bool, root: Path, output: Path) -> int:
    if not (root / SUITES).is_dir():
        text = f"there is no folder {root / SUITES}: this checkout is not whole"
        return to.refuse(text, Exit.SUITE_ERROR)
    requests.tell_dropped(to)
    kernel_log = Copy(output / "kernel.log")
    to.out(f"Results go to {output_folder.nearest(output)}")
    command = [
        *requests.pytest_command(request, root),
        *("-p", "xdist.plugin", f"--numprocesses={request.jobs}"),
        *requests.recording(request, output),
    ]
    words = {finish.LAST_WORDS: str(output / finish.LAST_WORDS_FILE)}
    signs = RunSigns(output / finish.JOURNAL, to)

    def tick() -> None:
        kernel_log.more()
        signs.look()

    def afterwards(ended: process_group.Ended) -> int:
        kernel_log.close()
        how = (ended.status, ended.stopped_by)
        code = requests.complete(output, request, to, narrowed, *how, alarms=kernel_log.alarms)
        if kernel_log.lost:
            return to.refuse(f"kernel.log cannot be written: {kernel_log.lost}.", untold(code))
        return code

    try:
        environment = {**requests.environment(), **words}
        return process_group.run(
            command, cwd=root, env=environment, tick=tick, afterwards=afterwards
        )
    except process_group.NotStartedError as error:
        return to.refuse(
            f"pytest cannot be started by {sys.executable}: {error}. {set_up.again()} It must be a "
            "Python that this user may run; PYTHON= names one to the set-up.",
            Exit.SUITE_ERROR,
        )
