# SPDX-License-Identifier: GPL-2.0-only
"""Results out of the console of a machine that ran a payload, completed as those of any run."""

from __future__ import annotations

from pathlib import Path

from harness import files
from lab.emulation.console import last_lines, panic
from lab.launch import finish, output_folder
from lab.launch.exit_codes import Exit
from lab.launch.lost import LostVm
from lab.launch.speaker import Speaker
from lab.payload.frames import Unframed, unframed

_LARGEST = 1024 * files.MEGABYTE


def received(console: Path, output: Path | None, to: Speaker) -> int:
    """Writes the results to a folder, and tells the verdict; the exit code."""
    try:
        found = unframed(files.read_regular(console, _LARGEST).decode("utf-8", "replace"))
    except OSError as error:
        return to.refuse(f"{console} cannot be read: {error.strerror}.", Exit.SUITE_ERROR)
    if finish.JOURNAL not in found.files:
        return to.refuse(
            f"{console} has no results of a payload: a kernel started with "
            "conformance.results=console writes them there.",
            Exit.SUITE_ERROR,
        )
    if found.lost:
        to.err(f"{found.lost} lines of the results did not come whole: {console} has lost bytes.")
    try:
        with output_folder.held(output) as folder:
            for name in finish.FILES:
                if name in found.files:
                    files.replace(folder / name, found.files[name].decode("utf-8", "replace"))
            return _finished(found, console, folder, to)
    except output_folder.ResultsError as error:
        return to.refuse(str(error), Exit.CANNOT_WRITE)


def _finished(found: Unframed, console: Path, folder: Path, to: Speaker) -> int:
    lost = None
    if found.status is None:
        lines = last_lines(console)
        why = "the console ends before the run does"
        lost = LostVm(why, panic(lines), tuple(lines), booted=True)
    return finish.finish(
        folder,
        to,
        status=-1 if found.status is None else found.status,
        stopped_by=None,
        require_kvm=False,
        narrowed=False,
        lost=lost,
        elsewhere=True,
    )
