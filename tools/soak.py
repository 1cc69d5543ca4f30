# SPDX-License-Identifier: GPL-2.0-only
"""``kvm-conformance soak``: races for as long as told, to bound how rarely a kick is lost."""

from __future__ import annotations

import contextlib
import datetime
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from guest_blobs import BlobError
from harness.host import description, obstacles
from harness.kick.engine import EngineError
from harness.kick.race_process import RaceProcessError
from harness.kick.slots import slot
from harness.kick.verdict import LATE_LEAST, LATE_P, RaceOutcome, judge, late_counts
from harness.kvm import arch
from harness.kvm.abi import KvmError
from harness.kvm.running import NotSeenError
from harness.kvm.system import System
from lab.launch.exit_codes import Exit
from lab.launch.stopping import SIGNALS, StoppedError
from lab.soak import journal as soak_journal
from lab.soak import plan
from lab.soak.journal import JOURNAL, SoakJournal
from lab.soak.plan import Combination
from lab.soak.slices import SliceDone, Workshop, last_mode
from lab.soak.stop import SoakStop, TimeIsUpError
from lab.soak.tally import Tally
from tools import options
from tools.screen import bench
from tools.screen.soak import SoakProgress, SoakState, report
from tools.screen.terminal import TERMINAL

REPORT = "soak.txt"
_SHORTEST_S = 0.2
#: Errors of the suite, not of the kernel.
_BROKEN = (KvmError, EngineError, BlobError, NotSeenError, RaceProcessError)


@dataclass(frozen=True)
class SoakSettings:
    """What was asked for, checked."""

    seconds: float
    slice_s: float
    combinations: Sequence[Combination]
    until_lost: bool


def _processors(_ctx: click.Context, _param: click.Parameter, value: str | None) -> set[int]:
    try:
        return plan.processors(value) if value is not None else set()
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _choice(words: Sequence[str]) -> click.Choice[str]:
    return click.Choice(list(words))


@click.command(
    epilog="Exit codes: 0 no kick was lost, 1 one was (or was late), 4 nothing could be tested,"
    " 64 wrong usage, 70 no verdict (too short to judge, or the suite itself broke), 73 the results"
    " cannot be written, 130 and 143 interrupted."
)
@options.lasting()
@click.option(
    "--protocol", "protocols", multiple=True, type=_choice(plan.PROTOCOLS),
    help="Only this protocol; may be repeated. Default: each that a sound kernel keeps.",
)  # fmt: skip
@click.option(
    "--guest", "guests", multiple=True, type=_choice(tuple(plan.GUESTS)),
    help="Only this guest program; may be repeated.",
)  # fmt: skip
@click.option("--mode", "modes", multiple=True, metavar="MODE", help="Only this CPU mode.")
@click.option(
    "--shape", "shapes", multiple=True, type=_choice(tuple(plan.SHAPES)),
    help="Only this arrangement of threads and processors; may be repeated.",
)  # fmt: skip
@click.option(
    "--delivery", "deliveries", multiple=True, type=_choice(plan.DELIVERIES),
    help="Only this way to send the signal; may be repeated.",
)  # fmt: skip
@click.option("--cpus", metavar="LIST", callback=_processors, help="Use only these: 0,1 or 0-3.")
@click.option(
    "--slice", "slice_s", default="2s", show_default=True, metavar="TIME",
    callback=options.check_duration,
    help="How long one combination runs before the next takes its turn.",
)  # fmt: skip
@click.option("--until-lost", is_flag=True, help="Stop at the first kick that is lost or late.")
@click.option(
    "--output", type=options.Place(), metavar="DIR",
    help="Where journal and report go; default results/soak-<time>.",
)  # fmt: skip
def soak(
    seconds: float,
    protocols: tuple[str, ...],
    guests: tuple[str, ...],
    modes: tuple[str, ...],
    shapes: tuple[str, ...],
    deliveries: tuple[str, ...],
    cpus: set[int],
    slice_s: float,
    until_lost: bool,
    output: Path | None,
) -> int:
    """Race for a long time: kick after kick, in every arrangement, and count what is lost."""
    _check_modes(modes)
    wanted = plan.combinations(
        protocols or plan.PROTOCOLS,
        tuple((guest, mode) for guest in guests or plan.GUESTS for mode in modes or ("",)),
        shapes or tuple(plan.SHAPES),
        deliveries or plan.DELIVERIES,
    )
    if not wanted:
        raise click.UsageError(
            "these choices leave nothing to run: a timer cannot write the byte (kicker_writes), "
            "timer and itself have no kickers (together, burst, storm), process is one kicker "
            "(storm)"
        )
    obstacle = obstacles.preflight()
    if obstacle is not None:
        return TERMINAL.refuse(f"{obstacle.sentence} {obstacle.advice}", Exit.NOTHING_TESTED)
    if cpus:
        os.sched_setaffinity(0, cpus)
    with System() as system:
        if not system.check_extension("KVM_CAP_IMMEDIATE_EXIT"):
            wanted = [each for each in wanted if each.protocol == "signal_mask"]
            if not wanted:
                return TERMINAL.refuse(
                    "this KVM has no KVM_CAP_IMMEDIATE_EXIT, and the protocols chosen need it. "
                    "Choose --protocol signal_mask.",
                    Exit.NOTHING_TESTED,
                )
        workshop = Workshop(system)
        wanted, lacking = _available(workshop, wanted)
        for words in lacking:
            click.echo(f"left out: {words}", err=True)
        if not wanted:
            return TERMINAL.refuse("no guest chosen can be had on this host.", Exit.NOTHING_TESTED)
        return _soak(workshop, SoakSettings(seconds, slice_s, wanted, until_lost), output)


def _check_modes(modes: tuple[str, ...]) -> None:
    try:
        known = arch.current().MODES
    except arch.UnsupportedArchitectureError:
        return  # the preflight says it, with its own exit code
    for mode in modes:
        if mode not in known:
            raise click.BadParameter(
                f"{mode!r} is not one of {', '.join(known)}", param_hint="--mode"
            )


def _available(
    workshop: Workshop, wanted: list[Combination]
) -> tuple[list[Combination], list[str]]:
    """Those whose guest this host has, in the mode that they say; and why not the others."""
    why: dict[tuple[str, str], str] = {}
    kept = []
    for each in wanted:
        mode = each.mode or last_mode()
        if (each.guest, mode) not in why:
            why[each.guest, mode] = workshop.obstacle(each.guest, mode)
        if not why[each.guest, mode]:
            kept.append(Combination(each.protocol, each.guest, mode, each.shape, each.delivery))
    return kept, [f"{guest} ({mode}): {words}" for (guest, mode), words in why.items() if words]


def _soak(workshop: Workshop, settings: SoakSettings, output: Path | None) -> int:
    stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H-%M-%S.%fZ")
    folder = output or Path("results") / f"soak-{stamp}"
    try:
        journal = SoakJournal(folder)
    except FileExistsError:
        return TERMINAL.refuse(
            f"{folder} holds a journal already ({JOURNAL}), or is no folder. Choose another "
            "--output.",
            Exit.CANNOT_WRITE,
        )
    except OSError as error:
        return _cannot_write(error, folder)
    described = description.describe()
    runner = Runner(workshop, settings, journal)
    with contextlib.closing(journal):
        try:
            click.echo(f"Results go to {folder}/", err=True)
            journal.line(
                "soak",
                version=soak_journal.VERSION,
                environment=described.properties(),
                seconds=settings.seconds,
                slice_s=settings.slice_s,
                combinations=len(settings.combinations),
            )
            with runner.stop.taken(SIGNALS[:2]):
                code = runner.run()
                text = report(runner.state, runner.elapsed, described.headline(), runner.why)
                journal.line("end", exit=int(code), verdicts=runner.state.words())
                (folder / REPORT).write_text(text + "\n", encoding="utf-8")
            # Broken between words on a terminal, and not at all elsewhere.
            bench.console().print(text, soft_wrap=not sys.stdout.isatty())
            return code
        except StoppedError as stopped:
            return Exit.of_signal(stopped.number)  # a second signal: no report
        except OSError as error:
            return _cannot_write(error, folder)


class Runner:
    """Slice after slice until the time is over, a signal comes, or a kick is lost."""

    def __init__(self, workshop: Workshop, settings: SoakSettings, journal: SoakJournal) -> None:
        self._workshop = workshop
        self._settings = settings
        self._journal = journal
        self._began = time.monotonic()
        self.stop = SoakStop()
        self.why = ""
        protocols = dict.fromkeys(each.protocol for each in settings.combinations)
        self.state = SoakState({p: Tally() for p in protocols}, {p: Tally() for p in protocols})

    @property
    def elapsed(self) -> float:
        """Seconds since the soak began."""
        return time.monotonic() - self._began

    def run(self) -> Exit:
        """The exit code. Raises OSError when the journal cannot be written."""
        total = self._settings.seconds
        error = ""
        with SoakProgress(self.state, total) as progress:
            for what in plan.in_turn(list(self._settings.combinations)):
                # One slice at least: a starved host may need all of a short time to begin.
                least = 0.0 if self.state.slices else _SHORTEST_S
                left = max(least, total - self.elapsed)
                if self.stop.first or left < _SHORTEST_S:
                    break
                progress.show(self.elapsed, what, min(self._settings.slice_s, left))
                try:
                    waits = time.monotonic()
                    with self.stop.interruptible(left), slot() as place:
                        self.stop.no_longer_waiting()
                        self.state.waited_s += time.monotonic() - waits
                        left = max(_SHORTEST_S, total - self.elapsed)
                        self._slice(what, place, min(self._settings.slice_s, left), progress)
                except (StoppedError, TimeIsUpError):
                    break
                except _BROKEN as problem:
                    # A Ctrl-C may meet a race's process while it is being made.
                    if not (self.stop.first and isinstance(problem, RaceProcessError)):
                        error = f"{what.describe()}: {problem}"
                    break
                if self._settings.until_lost and self.state.broken:
                    self.why = ", ended by --until-lost"
                    break
        return self._code(error)

    def _slice(self, what: Combination, place: Any, seconds: float, progress: SoakProgress) -> None:
        state = self.state
        done = self._workshop.run(what, place, seconds, state.slices + 1, self.stop.cancel)
        state.slices += 1
        summaries = [each.as_json() for each in done.summaries]
        state.tallies[what.protocol].take_slice(summaries)
        control = None
        if done.control is not None:
            control = {"kicks": done.control.kicks, "lost": done.control.losses}
            state.controls[what.protocol].take_slice([done.control.as_json()])
        words = self._judge(what, done)
        self._journal.line(
            "slice",
            number=state.slices,
            guest=what.guest,
            mode=what.mode,
            shape=what.shape,
            delivery=what.delivery,
            stops=done.stops,
            summaries=summaries,
            control=control,
            verdict=words,
        )
        if words:
            progress.say(words)

    def _judge(self, what: Combination, done: SliceDone) -> str:
        """What is wrong with a slice, as a text; empty when nothing is."""
        verdict = judge(done.summaries, control=done.control)
        if verdict.outcome is RaceOutcome.LOST:
            self.state.lost_slices[what.protocol] += 1
        elif self._late(done):
            self.state.late_slices[what.protocol] += 1
        else:
            return ""
        text = f"slice {self.state.slices}, {what.describe()}: {verdict.explain()}"
        self.state.tell(text)
        return text

    def _late(self, done: SliceDone) -> bool:
        """The rule of harness.kick.verdict, with its probability spread over all slices.

        A soak makes as many comparisons as it has slices. The n-th may err with LATE_P / (n (n +
        1)), which adds up to LATE_P however long it lasts.
        """
        counts = late_counts(done.summaries)
        number = self.state.slices
        return counts.late_before >= LATE_LEAST and counts.p() < LATE_P / (number * (number + 1))

    def _code(self, error: str) -> Exit:
        stopped = self.stop.code
        if error:
            self.why = ", ended by an error of the suite"
            click.echo(f"Error: {error}", err=True)
            return Exit.SUITE_ERROR
        if stopped:
            name = "Ctrl-C" if stopped is Exit.SIGINT else "SIGTERM"
            self.why = f", ended by {name}"
            return stopped
        if self.state.broken:
            return Exit.FAILED
        gaps = [name for name, word in self.state.words().items() if word != "held"]
        if gaps:
            why = f"{', '.join(gaps)}: {self.state.gap(gaps[0])}"
            click.echo(f"Error: no verdict on {why}. Soak longer.", err=True)
            return Exit.SUITE_ERROR
        return Exit.HELD


def _cannot_write(error: OSError, folder: Path) -> int:
    return TERMINAL.refuse(
        f"the results cannot be written to {error.filename or folder}: {error.strerror}. Choose "
        "another --output.",
        Exit.CANNOT_WRITE,
    )
