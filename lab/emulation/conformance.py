# SPDX-License-Identifier: GPL-2.0-only
"""A conformance run inside an emulated host: pytest there, the folder of results here.

pytest runs in the machine with this checkout and this virtual environment, and writes its results
to the share (lab/emulation/share.py). The journal is copied to the folder of results as it
grows, the rest when the machine has ended. The launcher's part (lab/launch/run.py) is played from
outside, for the machine may be lost at any moment.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.host import description
from harness.reporting import variants
from lab.emulation import bundle, cache
from lab.emulation.kernel import Kernel
from lab.emulation.machine import Job, Limits, Machine, MachineEnd, run
from lab.emulation.share import Mirror, Share, fresh
from lab.launch import finish
from lab.launch.lost import LostVm
from lab.launch.request import ROOT, Request, pytest_command, recording
from lab.launch.signs import RunSigns
from lab.launch.speaker import Speaker
from lab.launch.stopping import StoppedError, held_off, stoppable
from lab.payload import contents, payload

#: Kicks a race protocol gets: what an emulated host makes in a few seconds.
BUDGET = "2000"
#: A test takes it about ten times as long as a real host: each runs once.
VARIANTS = variants.ONE
#: For each test of the chapter `explored`, which takes half a second for one.
_SEQUENCES = 4


@dataclass(frozen=True)
class EmulatedRun:
    """What came of it. `ended` is None where a signal stopped us, which is `stopped_by`."""

    ended: MachineEnd | None
    stopped_by: signal.Signals | None = None

    @property
    def lost(self) -> LostVm | None:
        """How the machine was lost, if it was."""
        return self.ended.lost if self.ended else None

    @property
    def status(self) -> int:
        """pytest's exit status; that of a killed process where there is none."""
        known = self.ended.status if self.ended else None
        return -signal.SIGKILL if known is None else known


def boot_and_test(
    kernel: Kernel,
    machine: Machine,
    request: Request,
    output: Path,
    to: Speaker,
    *,
    limits: Limits,
    text: int = 1,
    modules: Path | None = None,
) -> EmulatedRun:
    """Boots the kernel and runs the suites in it; `output` then holds journal and console.

    `modules` is a folder with KVM's modules to load instead of the kernel's own.

    Raises `KernelError` where no machine can be had, and OSError where `output` cannot be written.
    """
    try:
        with stoppable(), taken(output) as (share, journal):
            asked = dataclasses.replace(
                job(machine, request, share.path), modules=modules.resolve() if modules else None
            )
            image = executed(machine, to)
            signs = RunSigns(output / finish.JOURNAL, to)

            def tick(up: bool) -> None:
                journal.more()
                signs.look("" if up else booting(kernel, limits))

            ended = run(
                kernel,
                machine,
                asked,
                share,
                bundle=image,
                limits=limits,
                signs_of_life=lambda: journal.size,
                output=text,
                tick=tick,
                say=to.say,
            )
    except StoppedError as stopped:
        return EmulatedRun(None, stopped.number)
    return EmulatedRun(ended)


def executed(machine: Machine, to: Speaker) -> Path | None:
    """What the suites execute there: a copy of this host's files, or a payload elsewhere."""
    if machine.foreign:
        return payload.provide(machine.foreign, "cpio", cache.root(), to.say)
    return bundle.image(cache.root(), to.say)


@contextlib.contextmanager
def taken(output: Path) -> Iterator[tuple[Share, Mirror]]:
    """A share for results, and its journal's copy in `output`; at the end the rest goes there."""
    with fresh(output) as share:
        journal = Mirror(share, finish.JOURNAL, output / finish.JOURNAL)
        try:
            yield share, journal
        finally:
            with held_off():
                take_results(share, journal, output)


def take_results(share: Share, journal: Mirror, output: Path) -> None:
    """Copies to `output` what a run has left in its share. Raises OSError."""
    journal.close()
    for name in finish.FILES:
        if name != finish.JOURNAL:
            share.take(name, output / name)


def booting(kernel: Kernel, limits: Limits) -> str:
    """What a machine does that is not up yet."""
    return f"booting {kernel.name} (given up after {limits.boot_s:.0f} s)"


def environment(machine: Machine) -> dict[str, str]:
    """What every program of this project finds in the environment of an emulated host."""
    return {
        "KVM_CONFORMANCE_TIER": machine.tier,
        "KVM_CONFORMANCE_EMULATOR": machine.describe(),
        description.SLOW: "yes",
        "PYTHONDONTWRITEBYTECODE": "1",
        **_of_python(machine),
        "COLUMNS": str(shutil.get_terminal_size((80, 24)).columns),
        "PATH": f"{Path(python(machine)).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": "/root",
    }


def _of_python(machine: Machine) -> dict[str, str]:
    if machine.foreign:
        return {"PYTHONPATH": f"/{contents.PACKAGES}", "LANG": "C.UTF-8"}
    return {"PYTHONPYCACHEPREFIX": sys.pycache_prefix} if sys.pycache_prefix else {}


def python(machine: Machine) -> str:
    """The Python that runs programs of this project there."""
    return "/usr/bin/python3" if machine.foreign else sys.executable


def root(machine: Machine) -> Path:
    """Where this checkout is there."""
    return Path("/", contents.SUITES) if machine.foreign else ROOT


def job(machine: Machine, request: Request, output: Path) -> Job:
    """pytest with what was asked for, with its results in `output`."""
    # Processors that take turns run no two workers at once.
    auto = str(machine.cpus if machine.threads else 0)
    workers = auto if request.jobs == "auto" else request.jobs
    command = [
        *pytest_command(request, root(machine), python(machine)),
        *([f"--numprocesses={workers}"] if workers != "0" else []),
        f"--sequences={_SEQUENCES}",
        *recording(request, output),
    ]
    words = {finish.LAST_WORDS: str(output / finish.LAST_WORDS_FILE)}
    if workers == "0":
        # pytest-xdist, and the search for what else is installed, take seconds there.
        words["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    return Job(command, root(machine), {**environment(machine), **words})
