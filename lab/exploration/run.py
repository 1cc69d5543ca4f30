# SPDX-License-Identifier: GPL-2.0-only
"""An exploration, from what was asked for to its report: on this host, or in an emulated one."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from harness.host import description
from harness.sequences.sequence import Recorded
from harness.sequences.shrinking import shrink
from harness.signs import Signs
from lab.emulation import conformance
from lab.emulation.conformance import booting
from lab.emulation.errors import KernelError
from lab.emulation.kernel import Kernel
from lab.emulation.machine import Job, Limits, Machine
from lab.emulation.machine import run as run_machine
from lab.emulation.share import Mirror, fresh
from lab.exploration import files
from lab.exploration.files import JOURNAL, REQUEST, UNDER_WAY, Exploration, Explored, FailedSequence
from lab.exploration.inside import HUNG, SUITES_S
from lab.launch import output_folder, process_group
from lab.launch.exit_codes import Exit
from lab.launch.output_folder import nearest
from lab.launch.request import ROOT
from lab.launch.request import environment as environment_here
from lab.launch.speaker import Speaker
from lab.launch.stopping import StoppedError, stoppable

PROGRAM = "lab.exploration.inside"
#: Fresh processes or machines that make shorter what took one with it.
_MOST_TRIES = 24
_TRIES_S = 1800.0
_HUNG = "a call of KVM did not come back"


@dataclass(frozen=True)
class ExplorationEnd:
    """How the program ended: its `status`, why its process or machine was `lost`, or a signal."""

    explored: Explored
    status: int | None = None
    lost: str = ""
    no_kvm: bool = False
    stopped_by: signal.Signals | None = None
    kernel: str = ""
    elsewhere: bool = False  # on another architecture


#: Plays what is asked for, with its files in a folder.
Play = Callable[[Exploration, Path], ExplorationEnd]


def explore(
    asked: Exploration,
    wanted: Path | None,
    name: str,
    play: Play,
    to: Speaker,
    *,
    tell: Callable[[Explored, Path], None],
) -> int:
    """Plays, and tells of what was found in which folder; the exit code.

    ``wanted`` is the folder of results, None for a new one, called so.
    """
    try:
        with output_folder.held(wanted, name) as folder:
            to.out(f"Results go to {nearest(folder)}")
            files.clear(folder)
            ended = play(asked, folder)
            if ended.lost and ended.stopped_by is None:
                ended = _killed(ended, asked, folder, play, to)
            for number, finding in enumerate(ended.explored.findings, start=1):
                files.keep(finding, ended.kernel, folder / f"sequence-{number}.json")
            tell(ended.explored, folder)
            return _code(ended, to)
    except KernelError as error:
        return to.refuse(f"{error}.", Exit.SUITE_ERROR)
    except StoppedError as stopped:
        to.err(f"Stopped by {stopped.number.name}; no verdict.")
        return Exit.of_signal(stopped.number)
    except output_folder.ResultsError as error:
        return to.refuse(str(error), Exit.CANNOT_WRITE)


def _code(ended: ExplorationEnd, to: Speaker) -> int:
    if ended.stopped_by is not None:
        return Exit.FAILED if ended.explored.findings else Exit.of_signal(ended.stopped_by)
    if ended.explored.findings:
        return Exit.FAILED
    if ended.no_kvm:
        return to.refuse("the machine has no /dev/kvm; its console may say why.", Exit.SUITE_ERROR)
    if ended.explored.error or not ended.explored.ended:
        why = ended.explored.error or f"it broke off with exit code {ended.status}"
        return to.refuse(f"the exploration came to no end: {why}.", Exit.SUITE_ERROR)
    return Exit.HELD


def _killed(
    ended: ExplorationEnd, asked: Exploration, folder: Path, play: Play, to: Speaker
) -> ExplorationEnd:
    """Of what took its process or its machine with it: a finding, made shorter by fresh ones.

    Elsewhere it stays as long as it is: what could be left out, or be simpler, is not known here.
    """
    recorded = files.under_way(folder / UNDER_WAY, elsewhere=ended.elsewhere)
    if recorded is None:
        return ended
    if ended.elsewhere:
        return _found(ended, recorded)
    to.say(f"{ended.lost}; the sequence is played again, shorter each time, at most {_MOST_TRIES}")
    place = folder / "again"
    place.mkdir(exist_ok=True)

    def fails(shorter: Recorded) -> bool:
        again = replace(asked, replay=shorter.as_json().decode())
        return bool(play(again, place).lost)

    if asked.replay or not fails(recorded):
        shown = recorded
    else:
        shown, _ = shrink(recorded, fails, _MOST_TRIES, _TRIES_S)
    return _found(ended, shown)


def _found(ended: ExplorationEnd, shown: Recorded) -> ExplorationEnd:
    sentence = f"{ended.lost}, at: {shown.done[-1].operation if shown.done else 'a fresh VM'}"
    finding = FailedSequence("", sentence, shown.as_json().decode(), irqchip=shown.setting.irqchip)
    explored = replace(ended.explored, findings=[*ended.explored.findings, finding])
    return replace(ended, explored=explored)


def here(to: Speaker) -> Play:
    """In a process of its own on this host."""

    def play(asked: Exploration, folder: Path) -> ExplorationEnd:
        (folder / REQUEST).write_text(asked.as_json())
        (folder / JOURNAL).unlink(missing_ok=True)
        signs = Signs(to.say, lambda: _doing(asked, files.read(folder / JOURNAL)))
        found: list[ExplorationEnd] = []

        def afterwards(ended: process_group.Ended) -> int:
            found.append(_of_process(ended, files.read(folder / JOURNAL)))
            return 0

        try:
            process_group.run(
                [sys.executable, "-m", PROGRAM, str(folder)],
                cwd=ROOT,
                env=environment_here(),
                tick=signs.look,
                afterwards=afterwards,
            )
        except process_group.NotStartedError as error:
            raise KernelError(f"the program cannot be started: {error}") from error
        return replace(found[0], kernel=description.describe().headline())

    return play


def _of_process(ended: process_group.Ended, explored: Explored) -> ExplorationEnd:
    lost = ""
    if not explored.ended and ended.stopped_by is None:
        if ended.status < 0:
            lost = f"{signal.Signals(-ended.status).name} ended the process that called KVM"
        elif ended.status == HUNG:
            lost = _HUNG
    return ExplorationEnd(explored, ended.status, lost, stopped_by=ended.stopped_by)


def emulated(kernel: Kernel, machine: Machine, modules: Path | None, to: Speaker) -> Play:
    """In a machine of its own."""
    limits, executed = Limits(), conformance.executed(machine, to)

    def play(asked: Exploration, folder: Path) -> ExplorationEnd:
        is_up, more = False, SUITES_S if asked.functions else 0.0

        def doing() -> str:
            if not is_up:
                return booting(kernel, limits)
            return _doing(asked, files.read(folder / JOURNAL))

        signs = Signs(to.say, doing)
        with stoppable(), fresh(folder) as share:
            share.write(REQUEST, asked.as_json())
            journal = Mirror(share, JOURNAL, folder / JOURNAL)

            def tick(up: bool) -> None:
                nonlocal is_up
                is_up = up
                journal.more()
                signs.look()

            ended = run_machine(
                kernel,
                machine,
                Job(
                    [conformance.python(machine), "-m", PROGRAM, str(share.path)],
                    conformance.root(machine),
                    conformance.environment(machine),
                    modules=modules,
                ),
                share,
                bundle=executed,
                limits=replace(limits, total_s=limits.total_s + asked.seconds + more),
                signs_of_life=lambda: journal.size,
                tick=tick,
                say=to.say,
            )
            journal.close()
            share.take(UNDER_WAY, folder / UNDER_WAY)
        lost = ended.lost.describe() if ended.lost else _HUNG * (ended.status == HUNG)
        return ExplorationEnd(
            files.read(folder / JOURNAL),
            ended.status,
            lost,
            no_kvm=not ended.has_kvm,
            kernel=f"Linux {kernel.release} ({kernel.name}), in an emulated host",
            elsewhere=machine.foreign is not None,
        )

    return play


def _doing(asked: Exploration, so_far: Explored) -> str:
    if asked.replay:
        return "playing a sequence again"
    if so_far.in_suites:
        return "the suites, whose functions are compared"
    found = f", {len(so_far.findings)} failed" if so_far.findings else ""
    return f"{so_far.sequences:,} sequences of {asked.seconds:.0f} s{found}"
