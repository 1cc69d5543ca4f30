# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance explore``: random sequences for as long as told, judged by a model."""

from __future__ import annotations

import functools
import os
import random
import shlex
from pathlib import Path

import click

from harness import files
from harness.kvm import arch
from harness.sequences.sequence import Recorded
from lab.emulation import arch as arches
from lab.emulation import cache
from lab.emulation import kernel as kernels
from lab.emulation.arch import Foreign
from lab.emulation.errors import EmulationError, KernelError
from lab.emulation.machine import Machine
from lab.exploration import report, run
from lab.exploration.files import Exploration, Explored
from lab.launch.duration import clock
from lab.launch.exit_codes import Exit
from tools import options
from tools.beforehand import missing_extension
from tools.screen.terminal import TERMINAL

REPORT, COVERAGE = "explored.txt", "coverage.md"
_MOST_SEED = (1 << 63) - 1
_MOST_SEQUENCE = files.MEGABYTE


@click.command(
    epilog="Exit codes: 0 nothing failed, 1 a sequence did, 4 nothing could be tested, 64 wrong"
    " usage, 70 no verdict, 73 the results cannot be written, 130 and 143 interrupted.",
)
@options.lasting("60s")
@click.option(
    "--seed", type=click.IntRange(0, _MOST_SEED), metavar="N",
    help="What the sequences are drawn by; another each time by default.",
)  # fmt: skip
@click.option("--until-failed", is_flag=True, help="Stop at the first sequence that fails.")
@click.option(
    "--replay", type=options.Place(exists=True, dir_okay=False), metavar="FILE",
    help="Play the sequence in this file once, and nothing else.",
)  # fmt: skip
@click.option(
    "--kernel", metavar="KERNEL", help=f"In an emulated host with one of {kernels.SPECS}."
)
@options.architecture
@options.kvm_modules
@click.option(
    "--functions", is_flag=True,
    help="Also tell which functions of KVM's modules were entered, and which by the suites, run"
    " for it too; in an emulated host.",
)  # fmt: skip
@options.output("<time>-explore-<kernel>")
def explore(
    seconds: float,
    seed: int | None,
    until_failed: bool,
    replay: Path | None,
    kernel: str | None,
    architecture: str,
    kvm_modules: Path | None,
    functions: bool,
    output: Path | None,
) -> int:
    """Do to vCPUs whatever userspace may, in any order, and judge each answer by a model.

    A sequence that fails is made shorter, and kept as a file that --replay plays again.
    """
    if message := missing_extension():
        return TERMINAL.refuse(message, Exit.SUITE_ERROR)
    try:
        foreign = arches.named(architecture) if architecture else None
    except EmulationError as error:
        return TERMINAL.refuse(f"{error}.", Exit.SUITE_ERROR)
    kernel = kernel or ("default" if foreign else None)
    if functions and foreign:
        raise click.UsageError("--functions is for this host's architecture.")
    if kvm_modules and not kernel:
        raise click.UsageError("--kvm-modules is for an emulated host: give a --kernel, too.")
    if functions and not kernel:
        raise click.UsageError("--functions is for an emulated host: give a --kernel, too.")
    seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    try:
        asked = Exploration(
            seed=seed,
            seconds=seconds,
            until_failed=until_failed,
            replay=_sequence(replay, elsewhere=foreign is not None) if replay else "",
            functions=functions,
        )
    except arch.UnsupportedArchitectureError as error:
        return TERMINAL.refuse(f"{error}.", Exit.NOTHING_TESTED)
    TERMINAL.out(f"Playing {replay}" if replay else f"Seed {seed}, for {clock(seconds)}")
    if kernel:
        return _emulated(asked, kernel, foreign, kvm_modules, output)
    from harness.host import obstacles  # asks KVM, which a machine needs not

    if obstacle := obstacles.preflight():
        return TERMINAL.refuse(f"{obstacle.sentence} {obstacle.advice}", Exit.NOTHING_TESTED)
    name = f"explore-{os.uname().release}"
    return run.explore(asked, output, name, run.here(TERMINAL), TERMINAL, tell=_tell)


def _emulated(
    asked: Exploration,
    spec: str,
    foreign: Foreign | None,
    modules: Path | None,
    output: Path | None,
) -> int:
    machine = Machine(foreign=foreign)
    own_modules = ["--kvm-modules", str(modules)] if modules else []
    words = ["--arch", foreign.name, "--kernel", spec, *own_modules] if foreign else []
    elsewhere = f"{shlex.join(words)} " if words else ""
    tell = functools.partial(_tell, elsewhere=elsewhere)
    try:
        machine.check()
        machine.check_programs()
        with cache.used():
            kernel = kernels.find(spec, say=TERMINAL.say, foreign=foreign)
            TERMINAL.out(f"On {kernel.name}: tier {machine.tier}")
            play = run.emulated(kernel, machine, modules and modules.resolve(), TERMINAL)
            name = f"explore-{kernel.release}"
            return run.explore(asked, output, name, play, TERMINAL, tell=tell)
    except KernelError as error:
        return TERMINAL.refuse(f"{error}.", Exit.SUITE_ERROR)
    except OSError as error:  # a name that no file can have, or a cache that cannot be written
        where = f"{error.filename}: " if error.filename else ""
        return TERMINAL.refuse(f"{where}{error.strerror}.", Exit.SUITE_ERROR)


def _sequence(path: Path, *, elsewhere: bool) -> str:
    """What stands in the file. Raises `click.BadParameter` for what cannot be played.

    `elsewhere`: on another architecture, which looks at it again.
    """
    try:
        text = files.read_regular(path, _MOST_SEQUENCE)
        recorded = Recorded.of_elsewhere(text) if elsewhere else Recorded.of_json(text)
        return recorded.as_json().decode()
    except OSError as error:
        why = error.strerror
    except ValueError as error:
        why = f"no sequence that can be played here: {error}"
    raise click.BadParameter(f"{path}: {why}", param_hint="--replay")


def _tell(explored: Explored, folder: Path, *, elsewhere: str = "") -> None:
    said = report.text(explored, folder, elsewhere=elsewhere)
    (folder / REPORT).write_text(f"{said}\n", encoding="utf-8")
    (folder / COVERAGE).write_text(report.markdown(explored), encoding="utf-8")
    TERMINAL.out(said)
